"""The signature on a policy: who issued it, checked before a byte of it is read.

The envelope is JSON: {"document": base64 of the document's UTF-8 bytes, "signature": base64 of Ed25519 over
``trustkeep policy v1``, a new line and those bytes, "key": hex SHA-256 of the raw public key}.
"""

import base64
import binascii
import hashlib
import json
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PREFIX = b"trustkeep policy v1\n"
ENVELOPE_AT_MOST = 2_000_000
"""Bytes; a policy of 5,000 phrases has about 300,000."""


class SignatureError(ValueError):
    """An envelope that can't be trusted. The message says why, in one sentence."""


def load_policy_key(path: Path) -> Ed25519PublicKey:
    """The box's policy key from its PEM file. Raises SignatureError, also where the file can't be read."""
    try:
        return parse_policy_key(path.read_bytes())
    except OSError as error:
        raise SignatureError(f"the policy key can't be read: {error.strerror}") from error


def parse_policy_key(pem: bytes) -> Ed25519PublicKey:
    """The Ed25519 public key in ``pem``. Raises SignatureError."""
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise SignatureError("the policy key isn't a PEM public key") from error
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError("the policy key isn't an Ed25519 key")
    return key


def key_name(key: Ed25519PublicKey) -> str:
    """The hex SHA-256 by which an envelope names its key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def open_envelope(envelope: bytes, key: Ed25519PublicKey) -> bytes:
    """The document's bytes, after ``key``'s signature on them has been checked. Raises SignatureError."""
    if len(envelope) > ENVELOPE_AT_MOST:
        raise SignatureError(f"the policy is larger than {ENVELOPE_AT_MOST:,} bytes")
    fields = parse_json(envelope)
    if not isinstance(fields, dict):
        raise SignatureError("the policy isn't an envelope")
    if "rules" in fields and "signature" not in fields:
        raise SignatureError("the policy isn't signed")
    if fields.get("key") != key_name(key):
        raise SignatureError("the policy is signed with another key than the box's")
    document, signature = (_decode(fields.get(name), name) for name in ("document", "signature"))
    try:
        key.verify(signature, PREFIX + document)
    except InvalidSignature as error:
        raise SignatureError("the policy's signature is not the box's") from error
    return document


def parse_json(data: bytes) -> Any:
    """The JSON in ``data``. Raises SignatureError, also where it is nested without end."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:  # bad UTF-8, bad JSON, and nested without end
        raise SignatureError("the policy isn't JSON") from error


def _decode(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        raise SignatureError(f"the policy's envelope has no {name}")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureError(f"the envelope's {name} isn't base64") from error
