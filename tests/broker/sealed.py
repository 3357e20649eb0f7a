"""Events as a device sends them, and as it never should. Sealed with RFC 9180 written out, not with the library."""

import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
IMAGE = b"stands for a picture"


def header(picture: bytes | None = IMAGE, **changes: Any) -> dict[str, Any]:
    """A header that is right but for ``changes``."""
    right: dict[str, Any] = {
        "version": 1,
        "message_id": str(uuid.uuid4()),
        "device_id": "ASH-01",
        "sequence": 1,
        "queue_epoch": "6a52a1a6-0f0e-4f3a-8c68-5f6a5a3c1f11",
        "occurred_at": NOW.isoformat(timespec="microseconds"),
        "account": "robin",
        "rule_id": "home-fear",
        "trigger": "go home",
        "application": "Chatterbox",
        "window_title": "Chat with Sam",
        "address": "",
        "typed": "i dont want to go home tonight",
        "context": ["hiya", "you ok?"],
        "image": None,
    }
    if picture is not None:
        sha256 = hashlib.sha256(picture).hexdigest()
        right["image"] = {"media_type": "image/webp", "sha256": sha256, "width": 1366, "height": 768}
    return right | changes


def pack(fields: object, image: bytes = IMAGE) -> bytes:
    """The plaintext of an event; ``fields`` that are bytes stand as they are."""
    encoded = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    return len(encoded).to_bytes(4) + encoded + image


def seal(key: X25519PublicKey, message_id: str, plaintext: bytes) -> bytes:
    """HPKE base mode from RFC 9180, sections 4.1, 5.1 and 6.1."""
    ours = X25519PrivateKey.generate()
    kem, suite = b"KEM" + (0x20).to_bytes(2), b"HPKE" + (0x20).to_bytes(2) + (1).to_bytes(2) + (2).to_bytes(2)
    encapsulated = ours.public_key().public_bytes_raw()
    both = encapsulated + key.public_bytes_raw()
    secret = _expand(_extract(b"", b"eae_prk", ours.exchange(key), kem), b"shared_secret", both, 32, kem)
    info = _extract(b"", b"info_hash", b"trustkeep event v1 " + message_id.encode(), suite)
    context = b"\0" + _extract(b"", b"psk_id_hash", b"", suite) + info
    schedule = _extract(secret, b"secret", b"", suite)
    nonce = _expand(schedule, b"base_nonce", context, 12, suite)
    cipher = AESGCM(_expand(schedule, b"key", context, 32, suite))
    return encapsulated + cipher.encrypt(nonce, plaintext, None)


def _extract(salt: bytes, label: bytes, material: bytes, suite: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + material, "sha256")


def _expand(key: bytes, label: bytes, info: bytes, length: int, suite: bytes) -> bytes:
    # one block of SHA-256 is as much as is ever wanted here
    return hmac.digest(key, length.to_bytes(2) + b"HPKE-v1" + suite + label + info + b"\x01", "sha256")[:length]
