"""The screen as evidence: lossless WebP wherever it fits the limit, never made smaller in width or height.

Lossless because reading the words from a lossy image goes worse, and low effort because a device is a pupil's laptop.
"""

import hashlib
import io
import struct
from dataclasses import dataclass

from PIL import Image

from agent.sensors.ports import Screen

MEDIA_TYPE = "image/webp"
BYTES_AT_MOST = 900_000
"""An event must pass the box's limit of 1,000,000 bytes with its text and its seal."""
LOSSLESS_EFFORT = 1
LOSSY_QUALITIES = (80, 60, 40, 20)
SIDE_AT_MOST = 16_383
"""Pixels; WebP's own limit."""


class CaptureError(Exception):
    """The screen couldn't be taken or kept. The message holds nothing of what was on it."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A screen as it will be sent. sha256: hex digest of ``data``; width and height in pixels."""

    data: bytes
    media_type: str
    sha256: str
    width: int
    height: int


def take_capture(screen: Screen, bytes_at_most: int = BYTES_AT_MOST) -> Capture | None:
    """The screen now, at most ``bytes_at_most`` bytes; None where there is none. Raises CaptureError.

    A recorded screen that is lossless WebP already is passed through untouched.
    """
    try:
        grabbed = screen.grab()
        if grabbed is None:
            return None
        if isinstance(grabbed, bytes):
            if len(grabbed) <= bytes_at_most and is_plain_lossless_webp(grabbed):
                width, height = _check_image(grabbed)
                return _make_capture(grabbed, width, height)
            grabbed = Image.open(io.BytesIO(grabbed))
        return encode_image(grabbed, bytes_at_most)
    except CaptureError:
        raise
    # Pillow and the platforms raise many kinds; none may stop the text from being reported
    except Exception as error:
        raise CaptureError(f"the screen couldn't be taken ({type(error).__name__})") from error


def encode_image(image: Image.Image, bytes_at_most: int = BYTES_AT_MOST) -> Capture:
    """``image`` as WebP: lossless, or the best lossy quality that fits. Raises CaptureError where none does."""
    if max(image.size) > SIDE_AT_MOST:
        raise CaptureError(f"the screen is larger than {SIDE_AT_MOST} pixels")
    plain = image.convert("RGB")
    data = _encode(plain, lossless=True, quality=0, method=LOSSLESS_EFFORT)
    for quality in LOSSY_QUALITIES:
        if len(data) <= bytes_at_most:
            break
        data = _encode(plain, lossless=False, quality=quality, method=LOSSLESS_EFFORT)
    if len(data) > bytes_at_most:
        raise CaptureError(f"the screen doesn't fit into {bytes_at_most} bytes")
    return _make_capture(data, *plain.size)


def is_plain_lossless_webp(data: bytes) -> bool:
    """Whether ``data`` is one lossless WebP frame and nothing beside it (no animation, no notes about the maker)."""
    if len(data) < 30 or data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8L":
        return False
    (riff_size,) = struct.unpack("<I", data[4:8])
    (frame_size,) = struct.unpack("<I", data[16:20])
    return bool(riff_size + 8 == len(data) == 20 + frame_size + frame_size % 2)


def _check_image(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        image.load()
        return image.size


def _encode(image: Image.Image, *, lossless: bool, quality: int, method: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=lossless, quality=quality, method=method)
    return buffer.getvalue()


def _make_capture(data: bytes, width: int, height: int) -> Capture:
    return Capture(data, MEDIA_TYPE, hashlib.sha256(data).hexdigest(), width, height)
