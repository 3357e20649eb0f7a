"""The enrolment desk: turns a device's request and its code into a certificate or a token, and all else it starts with.

Its callers are the portal's public view and nobody else; every answer is one that a device or a person can act on.
"""

import base64
import binascii
import json
import secrets
import uuid
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from appliance.broker.certificates import REQUEST_AT_MOST, RequestError, sign_request
from appliance.broker.mosquitto import hash_token
from appliance.config import Config
from appliance.safeguarding.enrolment import NAME_AT_MOST, DeviceKind
from appliance.store.connection import open_system
from appliance.workflow.enrol import Enrolled, EnrolmentRefusedError, Newcomer, TooManyCodesError, enrol_with_code

VERSION = 1
PROOF_PREFIX = b"trustkeep enrol v1\n"
CODE_AT_MOST = 40


class Desk:
    """Answers devices that want to be taken on. Opens the database for each; it holds no key in between."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def answer(self, request: Any, address: str, now: datetime) -> tuple[int, Mapping[str, Any]]:
        """Status and fields for a request (parsed JSON of unknown origin) from an address."""
        try:
            newcomer = parse_request(request, address)
        except RequestError as error:
            return 422, {"error": str(error)}
        token = secrets.token_urlsafe(32) if newcomer.kind is DeviceKind.BROWSER else None
        hashed = hash_token(token, secrets.token_bytes(12)) if token else None
        with closing(open_system(self._config.database)) as db:
            try:
                enrolled = enrol_with_code(
                    db,
                    newcomer,
                    lambda csr, device_id: sign_request(self._config, csr, device_id, now, any_name=True),
                    hashed,
                    now,
                    lambda: str(uuid.uuid4()),
                )
            except TooManyCodesError as error:
                return 429, {"error": str(error)}
            except EnrolmentRefusedError as error:
                return 403, {"error": str(error)}
            except RequestError as error:
                return 422, {"error": str(error)}
        return 200, self._welcome(enrolled, token)

    def _welcome(self, enrolled: Enrolled, token: str | None) -> Mapping[str, Any]:
        config, keys = self._config, self._config.keys
        port = "" if config.portal_port == 443 else f":{config.portal_port}"
        return {
            "device_id": enrolled.device_id,
            "certificate": enrolled.certificate.decode("ascii") if enrolled.certificate else None,
            "token": token,
            "ca": (keys / "ca.crt").read_text(encoding="ascii"),
            "box_key": (keys / "box.pub").read_text(encoding="ascii"),
            "policy_key": (keys / "policy.pub").read_text(encoding="ascii"),
            "policy": json.loads(enrolled.policy),
            "broker": {"host": config.host_name, "port": config.broker_port},
            "wss": f"wss://{config.host_name}{port}/mqtt",
        }


def parse_request(request: Any, address: str) -> Newcomer:
    """The newcomer in a request. Raises RequestError."""
    if not isinstance(request, dict) or request.get("version") != VERSION:
        raise RequestError(f"An enrolment request is a JSON object of version {VERSION}.")
    code, name = _text(request, "code", CODE_AT_MOST), _text(request, "name", NAME_AT_MOST)
    kind = request.get("kind")
    if kind == DeviceKind.DESKTOP:
        csr = _text(request, "csr", REQUEST_AT_MOST).encode()
        return Newcomer(code, DeviceKind.DESKTOP, name, csr, address)
    if kind == DeviceKind.BROWSER:
        _check_proof(_bytes(request, "public_key"), _bytes(request, "proof"), code)
        return Newcomer(code, DeviceKind.BROWSER, name, None, address)
    raise RequestError("The kind is neither desktop nor browser.")


def _check_proof(public_key: bytes, proof: bytes, code: str) -> None:
    try:
        key = load_der_public_key(public_key)
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise RequestError("The key is not one of P-256.")
        if len(proof) != 64:
            raise RequestError("The proof is not 64 bytes.")
        signature = encode_dss_signature(int.from_bytes(proof[:32]), int.from_bytes(proof[32:]))
        key.verify(signature, PROOF_PREFIX + code.encode("ascii", "replace"), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise RequestError("The proof was not made with the key it comes with.") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError("The key can't be read.") from None


def _text(request: Mapping[str, Any], name: str, at_most: int) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > at_most:
        raise RequestError(f"The field {name} is not text of at most {at_most:,} characters.")
    if any((sign < " " and sign not in "\r\n") or "\ud800" <= sign <= "\udfff" for sign in value):
        raise RequestError(f"The field {name} holds signs that don't belong there.")
    return value


def _bytes(request: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(_text(request, name, 1_000), validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(f"The field {name} is not base64.") from None
