"""Opening what devices sealed to the box: HPKE (RFC 9180), base mode, X25519, HKDF-SHA256, AES-256-GCM."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

INFO = b"trustkeep event v1"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class SealError(ValueError):
    """What came was not sealed to this box under this message id, or was changed on the way."""


def open_sealed(private_key: X25519PrivateKey, message_id: str, payload: bytes) -> bytes:
    """The plaintext of an event's payload. Raises SealError."""
    try:
        return bytes(_SUITE.decrypt(payload, private_key, info=INFO + b" " + message_id.encode("ascii")))
    except (InvalidTag, ValueError) as error:
        raise SealError("it does not open with this box's key") from error
