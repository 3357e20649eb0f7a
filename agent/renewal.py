"""The device's certificate, renewed by itself at two thirds of its life, with a new key each time.

The new key lies beside the old one (``.new``) from the request on. The old pair is thrown away only when the new
certificate has connected: until then the two are tried in turn.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from agent.connection import Credentials
from agent.message import NewCertificate
from agent.policy_store import write_whole

ASK_AGAIN = timedelta(hours=1)


class RenewalError(Exception):
    """A certificate that can't be taken. The message is one sentence."""


class Renewal:
    """The certificates of one device. Belongs to the publisher's thread."""

    def __init__(self, credentials: Credentials) -> None:
        self._old = credentials
        self._new = replace(
            credentials,
            key=_beside(credentials.key),
            ca=_beside(credentials.ca),
            certificate=_beside(credentials.certificate),
        )
        self._asked_at: datetime | None = None
        self._try_new = True
        self._finish_a_swap()

    def credentials(self) -> Credentials:
        """Those for the next connection: the new ones where there are any, the old ones after those have failed."""
        return self._new if self._try_new and self._new.certificate.exists() else self._old

    def connected(self, used: Credentials) -> bool:
        """A connection made with ``used`` stands. True where that puts the new certificate in place."""
        if used is not self._new:
            return False
        for name in _FILES:  # the key first: see _finish_a_swap
            getattr(self._new, name).replace(getattr(self._old, name))
        self._asked_at = None
        return True

    def failed(self, used: Credentials) -> None:
        """No connection came of ``used``: the other pair has its turn."""
        self._try_new = used is not self._new

    def request(self, now: datetime) -> bytes | None:
        """The PEM request to send now; None where the certificate is young enough, or was asked for a moment ago."""
        if self._new.certificate.exists():
            return None
        if self._asked_at is not None and timedelta(0) <= now - self._asked_at < ASK_AGAIN:
            return None
        certificate = x509.load_pem_x509_certificate(self._old.certificate.read_bytes())
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if now < begin + (end - begin) * 2 / 3:
            return None
        self._asked_at = now
        if not self._new.key.exists():
            write_whole(self._new.key, private_pem(ec.generate_private_key(ec.SECP256R1())))
        return build_request(_load_key(self._new.key), self._old.device_id)

    def accept(self, answer: NewCertificate, now: datetime) -> None:
        """Keep the box's answer for the next connection. Raises RenewalError, and then nothing has changed."""
        if not self._new.key.exists():
            raise RenewalError("no certificate was asked for")
        try:
            certificate = x509.load_pem_x509_certificate(answer.certificate)
            authority = x509.load_pem_x509_certificate(answer.ca)
        except ValueError as error:
            raise RenewalError("it isn't a PEM certificate") from error
        if _public(certificate.public_key()) != _public(_load_key(self._new.key).public_key()):
            raise RenewalError("it isn't for the key it was asked for with")
        names = [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if names != [self._old.device_id]:
            raise RenewalError("it is for another device")
        if not certificate.not_valid_before_utc - timedelta(days=1) <= now < certificate.not_valid_after_utc:
            raise RenewalError("it isn't valid now")
        try:
            certificate.verify_directly_issued_by(authority)
        except Exception as error:  # several kinds, all meaning no
            raise RenewalError("it isn't from the authority that came with it") from error
        write_whole(self._new.ca, answer.ca, 0o644)
        write_whole(self._new.certificate, answer.certificate, 0o644)  # last: its presence says that all is there
        self._try_new = True

    def _finish_a_swap(self) -> None:
        """Complete what a crash in ``connected`` left: a new certificate without a new key is half in place."""
        if self._new.certificate.exists() and not self._new.key.exists():
            for name in _FILES:
                if getattr(self._new, name).exists():
                    getattr(self._new, name).replace(getattr(self._old, name))


_FILES = ("key", "ca", "certificate")


def build_request(key: ec.EllipticCurvePrivateKey, device_id: str) -> bytes:
    """The PEM request for a certificate with CN = ``device_id``, signed with ``key``."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device_id)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """``key`` as PEM, unencrypted: the file's mode is what guards it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise RenewalError("the new key isn't an elliptic curve key")
    return key


def _public(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]
