"""The box's signature on a policy: devices take no other's word for what they watch for."""

import base64
import hashlib
import json
from collections.abc import Callable

from appliance.broker.certificates import load_policy_key
from appliance.config import Config

PREFIX = b"trustkeep policy v1\n"
"""Stands before the document in what is signed, so that the signature counts for nothing else."""


def make_signer(config: Config) -> Callable[[bytes], str]:
    """What puts a policy's document into its signed envelope, JSON text. Raises KeysError where there is no key."""
    key = load_policy_key(config)
    name = hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()

    def sign(document: bytes) -> str:
        signature = key.sign(PREFIX + document)
        fields = {"document": _base64(document), "signature": _base64(signature), "key": name}
        return json.dumps(fields)

    return sign


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
