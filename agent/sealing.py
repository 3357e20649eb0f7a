"""Sealing to the box: what is sealed on the device only the box can open, not even the device itself.

HPKE (RFC 9180), base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. What comes out is the 32 bytes of
the encapsulated key, then the ciphertext with its tag: 48 bytes more than went in.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import load_pem_public_key

INFO = b"trustkeep event v1"
OVERHEAD = 48
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class BoxKeyError(ValueError):
    """The file isn't the box's public key. The message is one sentence for the person who set the device up."""


def load_box_key(path: Path) -> X25519PublicKey:
    """The box's public key from its PEM file. Raises BoxKeyError, also where the file can't be read."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise BoxKeyError(f"the box's public key can't be read: {error.strerror}") from error
    except ValueError as error:
        raise BoxKeyError("the box's public key file isn't a PEM public key") from error
    if not isinstance(key, X25519PublicKey):
        raise BoxKeyError("the box's public key isn't an X25519 key")
    return key


def seal(box_key: X25519PublicKey, message_id: str, plaintext: bytes) -> bytes:
    """``plaintext`` for the box alone, bound to ``message_id``: under another id it doesn't open."""
    return _SUITE.encrypt(plaintext, box_key, info=seal_info(message_id))


def seal_info(message_id: str) -> bytes:
    """HPKE's info: the use and version, and the message id that the seal is bound to."""
    return b"%s %s" % (INFO, message_id.encode("ascii"))
