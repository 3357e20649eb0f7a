"""Enrolment over HTTPS: a one-time code in exchange for everything this device needs, its key never leaving it.

The box is trusted by its own authority and no other: by the authority's file, or by its fingerprint as the portal shows
it beside the code.
"""

import hashlib
import http.client
import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent import __version__
from agent.config import DEVICE_ID
from agent.enrolment import EnrolmentError
from agent.policy_store import PolicyRefusedError, open_policy, write_whole
from agent.renewal import build_request, private_pem
from agent.signature import SignatureError, parse_policy_key

CODE = re.compile(r"[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}-[A-HJKMNP-Z2-9]{4}")
SECONDS = 20
ANSWER_AT_MOST = 3_000_000
FILES = ("device.key", "device.pem", "ca.pem", "box-public.pem", "policy-public.pem", "policy.json", "agent.toml")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of it."""

    device_id: str
    settings: Path


def enrol(code: str, box: str, folder: Path, name: str, *, ca: Path | None, fingerprint: str | None) -> Enrolled:
    """Enrol this device at ``box`` (https://host[:port]) and write its files in ``folder``.

    ca: the PEM file of the box's authority; or fingerprint: the hex SHA-256 of its certificate. name: what the device
    is called, a proposal. Raises EnrolmentError; then nothing has been written.
    """
    code = code.strip().upper()
    if not CODE.fullmatch(code):
        raise EnrolmentError("the code has three groups of four letters and digits, such as ABCD-EFGH-JKMN")
    host, port = _split(box)
    present = [file for file in FILES if (folder / file).exists()]
    if present:
        raise EnrolmentError(f"there is a {present[0]} in {folder} already; this device may be enrolled")
    authority = _read_authority(ca) if ca else _fetch_authority(host, port, fingerprint or "")
    key = ec.generate_private_key(ec.SECP256R1())
    # a name that can't stand in a certificate is no name; the box decides in the end
    proposed = re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-")[:64] or "device"
    asked = {
        "version": 1,
        "code": code,
        "kind": "desktop",
        "name": name[:64],
        "csr": build_request(key, proposed).decode("ascii"),
    }
    answer = _post(host, port, authority, asked)
    files = _check(answer, key)
    for file, data in files.items():  # the settings last: their presence says that all is there
        write_whole(folder / file, data, 0o600 if file == "device.key" else 0o644)
    return Enrolled(str(answer["device_id"]), folder / "agent.toml")


def _split(box: str) -> tuple[str, int]:
    try:
        parts = urlsplit(box)
        if parts.scheme == "https" and parts.hostname and not parts.path.strip("/") and not parts.query:
            return parts.hostname, parts.port or 443
    except ValueError:
        pass
    raise EnrolmentError("the box's address must be https://host or https://host:port")


def _read_authority(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise EnrolmentError("the box's authority file can't be read") from error


def _fetch_authority(host: str, port: int, fingerprint: str) -> str:
    """The authority's certificate from the box itself, trusted because it has the fingerprint."""
    wanted = fingerprint.replace(":", "").replace(" ", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", wanted):
        raise EnrolmentError("the fingerprint must be the 64 hex digits of a SHA-256")
    context = ssl.create_default_context()
    # nothing that comes over this connection is believed before its digest is the one given
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    status, body = _request(host, port, context, "GET", "/enrol/ca.pem", None)
    if status != 200:
        raise EnrolmentError(f"the box doesn't show its authority (status {status}); use --ca")
    try:
        certificates = x509.load_pem_x509_certificates(body)
    except ValueError as error:
        raise EnrolmentError("the box's authority isn't a certificate; use --ca") from error
    for certificate in certificates:
        if hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest() == wanted:
            return certificate.public_bytes(Encoding.PEM).decode("ascii")
    raise EnrolmentError("the box's authority doesn't have this fingerprint: this may not be the box")


def _post(host: str, port: int, authority: str, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody yet
        context.load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        raise EnrolmentError("the box's authority file isn't a PEM certificate") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    status, body = _request(host, port, context, "POST", "/enrol", json.dumps(asked).encode())
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if status != 200:
        words = answer.get("error") if isinstance(answer, dict) else None
        plain = words if isinstance(words, str) and len(words) < 300 and words.isprintable() else f"status {status}"
        raise EnrolmentError(f"the box refused: {plain}")
    if not isinstance(answer, dict):
        raise EnrolmentError("the box's answer can't be read")
    return answer


def _request(
    host: str, port: int, context: ssl.SSLContext, method: str, path: str, body: bytes | None
) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    headers = {"User-Agent": f"trustkeep-agent/{__version__}", "Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_AT_MOST)
    except ssl.SSLCertVerificationError as error:
        raise EnrolmentError(f"this is not the box: {error.verify_message}") from error
    except (OSError, http.client.HTTPException) as error:
        raise EnrolmentError(f"the box can't be reached ({error})") from error
    finally:
        connection.close()


def _check(answer: dict[str, Any], key: ec.EllipticCurvePrivateKey) -> dict[str, bytes]:
    """The files of a good answer. Raises EnrolmentError where anything in it isn't what it should be."""
    device_id, broker = answer.get("device_id"), answer.get("broker")
    texts = {name: answer.get(name) for name in ("certificate", "ca", "box_key", "policy_key")}
    if not isinstance(device_id, str) or not DEVICE_ID.fullmatch(device_id):
        raise EnrolmentError("the box gave this device no name that can be used")
    if not all(isinstance(text, str) for text in texts.values()) or not isinstance(broker, dict):
        raise EnrolmentError("the box's answer is not complete")
    host, port = broker.get("host"), broker.get("port")
    if not isinstance(host, str) or not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", host):
        raise EnrolmentError("the box didn't say where its broker is")
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise EnrolmentError("the box didn't say where its broker is")
    pem = {name: str(text).encode() for name, text in texts.items()}
    policy = json.dumps(answer.get("policy")).encode()
    try:
        certificate = x509.load_pem_x509_certificate(pem["certificate"])
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(pem["ca"]))
        open_policy(policy, parse_policy_key(pem["policy_key"]))
    except (PolicyRefusedError, SignatureError) as error:
        raise EnrolmentError(f"the box's policy can't be used: {error}") from error
    except Exception as error:  # the library's kinds are many, and all mean no
        raise EnrolmentError("the box's certificate for this device can't be used") from error
    public = [one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
              for one in (certificate.public_key(), key.public_key())]  # fmt: skip
    names = [name.value for name in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    if public[0] != public[1] or names != [device_id]:
        raise EnrolmentError("the box's certificate isn't for this device")
    return {
        "device.key": private_pem(key),
        "device.pem": pem["certificate"],
        "ca.pem": pem["ca"],
        "box-public.pem": pem["box_key"],
        "policy-public.pem": pem["policy_key"],
        "policy.json": policy,
        "agent.toml": _settings(device_id, host, port).encode(),
    }


def _settings(device_id: str, host: str, port: int) -> str:
    return (
        f'device_id = "{device_id}"\ndata_dir = "data"\npolicy = "policy.json"\npolicy_key = "policy-public.pem"\n'
        f'box_key = "box-public.pem"\n\n[broker]\nhost = "{host}"\nport = {port}\nca = "ca.pem"\n'
        'certificate = "device.pem"\nkey = "device.key"\n'
    )
