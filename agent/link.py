"""Between the two processes of a device: the service, which holds keys, queue and connection, and the process in a
person's session, which sees and matches and holds nothing.

Frames over a local stream (a named pipe, a Unix socket): 4 bytes big-endian length of a JSON header, 4 bytes length of
what follows it, the header, the bytes. From the session: {"kind": "report", "report": {...}, "image": {"media_type",
"sha256", "width", "height"} or null} with the image's bytes; {"kind": "standing", ...}. From the service: {"kind":
"policy"} with the signed document's bytes, after it has checked them; {"kind": "kept", "sequence": n or null}.

The service believes nothing of a session but what it may say: whose session it is it knows from the system, not from
the frame, and what it takes is bounded.
"""

import hashlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, BinaryIO

from agent.capture import BYTES_AT_MOST, MEDIA_TYPE, Capture
from agent.message import Report
from agent.signature import ENVELOPE_AT_MOST

HEADER_AT_MOST = 200_000
BODY_AT_MOST = max(BYTES_AT_MOST, ENVELOPE_AT_MOST)
CONTEXT_AT_MOST = 200
_TEXTS = ("rule_id", "trigger", "application", "window_title", "address", "typed")


class LinkError(ValueError):
    """A frame that can't be taken. The message holds nothing of what was in it."""


def write_frame(stream: BinaryIO, header: dict[str, Any], body: bytes = b"") -> None:
    """Write one frame and flush it. Raises OSError where the other side is gone."""
    encoded = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    stream.write(len(encoded).to_bytes(4) + len(body).to_bytes(4) + encoded + body)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; None at the end of the stream. Raises LinkError."""
    lengths = stream.read(8)
    if not lengths:
        return None
    header_length, body_length = int.from_bytes(lengths[:4]), int.from_bytes(lengths[4:])
    if len(lengths) < 8 or header_length > HEADER_AT_MOST or body_length > BODY_AT_MOST:
        raise LinkError("a frame is cut off or too large")
    data = stream.read(header_length + body_length)
    if len(data) < header_length + body_length:
        raise LinkError("a frame is cut off")
    try:
        header = json.loads(data[:header_length])
    except (ValueError, RecursionError) as error:
        raise LinkError("a frame's header isn't JSON") from error
    if not isinstance(header, dict) or not isinstance(header.get("kind"), str):
        raise LinkError("a frame's header has no kind")
    return header, data[header_length:]


def pack_report(report: Report, capture: Capture | None) -> tuple[dict[str, Any], bytes]:
    """Header and body of a report, for ``write_frame``."""
    fields = {**asdict(report), "context": list(report.context), "occurred_at": report.occurred_at.isoformat()}
    image = None
    if capture is not None:
        image = {"media_type": capture.media_type, "sha256": capture.sha256,
                 "width": capture.width, "height": capture.height}  # fmt: skip
    return {"kind": "report", "report": fields, "image": image}, b"" if capture is None else capture.data


def unpack_report(header: dict[str, Any], body: bytes, account: str) -> tuple[Report, Capture | None]:
    """The report in a frame, as of ``account``, whatever the frame says of that. Raises LinkError."""
    fields, image = header.get("report"), header.get("image")
    if not isinstance(fields, dict) or not all(isinstance(fields.get(name), str) for name in _TEXTS):
        raise LinkError("a report is not complete")
    context = fields.get("context")
    if not isinstance(context, list) or not all(isinstance(line, str) for line in context):
        raise LinkError("a report's context isn't texts")
    try:
        at = datetime.fromisoformat(str(fields.get("occurred_at")))
    except ValueError as error:
        raise LinkError("a report has no time") from error
    if at.tzinfo is None:
        raise LinkError("a report's time has no offset")
    texts = {name: str(fields[name]) for name in _TEXTS}
    report = Report(occurred_at=at.astimezone(UTC), account=account, context=tuple(context[-CONTEXT_AT_MOST:]), **texts)
    return report, None if image is None else _unpack_image(image, body)


def _unpack_image(image: Any, body: bytes) -> Capture:
    if not isinstance(image, dict) or image.get("media_type") != MEDIA_TYPE or len(body) > BYTES_AT_MOST:
        raise LinkError("a report's image isn't one")
    width, height = image.get("width"), image.get("height")
    if type(width) is not int or type(height) is not int or width <= 0 or height <= 0:
        raise LinkError("a report's image has no size")
    digest = hashlib.sha256(body).hexdigest()
    if image.get("sha256") != digest:
        raise LinkError("a report's image isn't whole")
    return Capture(body, MEDIA_TYPE, digest, width, height)
