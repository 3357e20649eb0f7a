"""Captures at rest: sealed with AES-256-GCM, named by the hash of what they hold, opened only through a scoped row."""

import contextlib
import os
import secrets
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlite_utils import Database

from appliance.safeguarding.event import Capture
from appliance.store.connection import to_text

_MAGIC = b"TKC1"
_NONCE_BYTES = 12
KEY_BYTES = 32


def read_key(path: Path) -> bytes:
    """The key that opens captures. Raises ValueError when the file does not hold one, OSError when it isn't there."""
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path.parent.name}/{path.name} must hold {KEY_BYTES} bytes, not {len(key)}")
    return key


class CaptureDamagedError(Exception):
    """The sealed file is missing, or does not open with this key: it was changed, or belongs to another box."""


class CaptureVault:
    """A folder of sealed captures.

    key: 32 bytes, kept outside the data folder, so that a copy of the folder alone shows nothing.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._cipher = AESGCM(key)

    def save(self, sha256: str, image: bytes) -> None:
        """Seal the image and put it on the disk for good (file and folder synced) before returning.

        Saving the same hash again changes nothing: the same bytes are kept once.
        """
        path = self._path(sha256)
        if path.exists():
            return
        is_new = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _MAGIC + nonce + self._cipher.encrypt(nonce, image, sha256.encode())
        waiting = path.with_suffix(f".{secrets.token_hex(6)}.tmp")
        try:
            with open(waiting, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(waiting, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                waiting.unlink()
            raise
        _sync_folder(path.parent)
        if is_new:
            _sync_folder(self._folder)

    def open(self, sha256: str) -> bytes:
        """The image bytes. Raises CaptureDamagedError."""
        try:
            sealed = self._path(sha256).read_bytes()
        except FileNotFoundError:
            raise CaptureDamagedError("the capture's file is missing") from None
        start = len(_MAGIC) + _NONCE_BYTES
        if not sealed.startswith(_MAGIC):
            raise CaptureDamagedError("the capture's file is not one of this box")
        try:
            return self._cipher.decrypt(sealed[len(_MAGIC) : start], sealed[start:], sha256.encode())
        except InvalidTag:
            raise CaptureDamagedError("the capture's file was changed, or its key is not this box's") from None

    def _path(self, sha256: str) -> Path:
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError("a capture is named by its SHA-256 in hex")
        return self._folder / sha256[:2] / f"{sha256}.sealed"


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def insert_capture(db: Database, capture_id: str, event_id: str, academy_id: str, capture: Capture) -> None:
    """Record that an event has this capture."""
    db.conn.execute(
        "INSERT INTO scoped_capture (id, event_id, academy_id, sha256, media_type, width, height, size)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            capture_id,
            event_id,
            academy_id,
            capture.sha256,
            capture.media_type,
            capture.width,
            capture.height,
            capture.size,
        ],
    )


def get_capture(db: Database, event_id: str) -> Capture | None:
    """The capture of an event in scope, if it has one."""
    row = next(iter(db.query("SELECT * FROM scoped_capture WHERE event_id = ?", [event_id])), None)
    if row is None:
        return None
    return Capture(
        row["sha256"], row["media_type"], row["width"], row["height"], row["size"], row["sealed_reason"] or None
    )


def seal_capture_rows(db: Database, sha256: str, reason: str, at: datetime) -> list[tuple[str, str]]:
    """Seal every capture that holds these bytes, and drop its preview. Event and academy of those newly sealed.

    Sealing has no way back: a trigger of the schema refuses it.
    """
    rows = db.conn.execute(
        "SELECT event_id, academy_id FROM scoped_capture WHERE sha256 = ? AND sealed_at IS NULL", [sha256]
    ).fetchall()
    db.conn.execute(
        "UPDATE scoped_capture SET sealed_at = ?, sealed_reason = ?, preview = NULL"
        " WHERE sha256 = ? AND sealed_at IS NULL",
        [to_text(at), reason, sha256],
    )
    return [(row[0], row[1]) for row in rows]


def set_preview(db: Database, event_id: str, preview: bytes) -> None:
    """Keep a capture's preview: a few grey pixels that show there is a picture, and nothing of what is on it.

    A sealed capture gets none.
    """
    db.conn.execute(
        "UPDATE scoped_capture SET preview = ? WHERE event_id = ? AND sealed_at IS NULL", [preview, event_id]
    )


def get_preview(db: Database, event_id: str) -> bytes | None:
    """The preview of a capture in scope, if there is one yet."""
    row = db.conn.execute("SELECT preview FROM scoped_capture WHERE event_id = ?", [event_id]).fetchone()
    return bytes(row[0]) if row and row[0] is not None else None
