"""Opening what was sealed by RFC 9180 written out, so that the library's way and the wire's can't drift apart."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from appliance.broker.sealing import SealError, open_sealed
from tests.broker.sealed import seal

KEY = X25519PrivateKey.generate()


@pytest.mark.parametrize("plaintext", [b"", b"a", b"x" * 300_000], ids=len)
def test_what_was_sealed_to_the_box_opens(plaintext):
    sealed = seal(KEY.public_key(), "an id", plaintext)
    assert len(sealed) == len(plaintext) + 48
    assert open_sealed(KEY, "an id", sealed) == plaintext


@pytest.mark.parametrize(
    ("key", "message_id", "keep"),
    [
        (X25519PrivateKey.generate(), "an id", None),
        (KEY, "another", None),
        (KEY, "an id", -1),
        (KEY, "an id", 31),
        (KEY, "an id", 0),
    ],
    ids=["another key", "another id", "cut short", "no key", "nothing"],
)
def test_what_does_not_belong_together_does_not_open(key, message_id, keep):
    sealed = seal(KEY.public_key(), "an id", b"plaintext")[:keep]
    with pytest.raises(SealError):
        open_sealed(key, message_id, sealed)


def test_a_key_share_of_no_order_does_not_open():
    sealed = seal(KEY.public_key(), "an id", b"plaintext")
    with pytest.raises(SealError):
        open_sealed(KEY, "an id", bytes(32) + sealed[32:])
