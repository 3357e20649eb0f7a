"""A device's own key, made on the device and never leaving it, and the request for its certificate."""

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from agent.config import DEVICE_ID

KEY_NAME = "device.key"
REQUEST_NAME = "device.csr"


class EnrolmentError(Exception):
    """The key or the request couldn't be made. The message is one sentence for the person at the device."""


@dataclass(frozen=True, slots=True)
class KeyAndRequest:
    """The files that were made: the private key (mode 0600) and the certificate request, both PEM."""

    key: Path
    request: Path


def make_key_and_request(folder: Path, device_id: str) -> KeyAndRequest:
    """Make a P-256 key and the request for a certificate with CN = ``device_id`` in ``folder``.

    Raises EnrolmentError where the name can't be a device's, or where a key is there already: it is never overwritten.
    """
    if not DEVICE_ID.fullmatch(device_id):
        raise EnrolmentError("the device id may hold only letters, digits and dashes, at most 64, the first no dash")
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)]))
        .sign(key, hashes.SHA256())
    )
    made = KeyAndRequest(folder / KEY_NAME, folder / REQUEST_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # created with its mode, so that there is no moment in which others could open it
        with os.fdopen(os.open(made.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made.request.write_bytes(request.public_bytes(Encoding.PEM))
    except FileExistsError as error:
        raise EnrolmentError(f"there is a {KEY_NAME} already; this device has its key") from error
    except OSError as error:
        raise EnrolmentError(f"the files can't be written: {error.strerror}") from error
    return made
