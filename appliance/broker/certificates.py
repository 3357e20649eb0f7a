"""The box's keys and certificates: its private authority, its own certificates, and those it signs for devices.

Everything lies in ``config.keys`` (mode 0700). A key or a list that is missing although the box has been in use is not
made anew in silence: what devices sealed, or who was shut out, hangs on it.
"""

import ipaddress
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from appliance.broker.files import PUBLIC, SECRET, make_private_folder, write_file
from appliance.broker.topics import INGEST, is_device_id
from appliance.config import Config
from appliance.store.enrolment import Certificate

CA_DAYS = 20 * 365
SERVER_DAYS = 800
"""Browsers refuse a server's certificate that runs for more than 825 days."""
DEVICE_DAYS = 365
"""A device asks for the next one by itself at two thirds of this: it may lie in a cupboard for four months."""
CRL_DAYS = 90
"""An expired list of revoked ones makes the broker refuse every device, so it runs long, and is written daily."""
RENEW_BEFORE = timedelta(days=60)
BACKDATED = timedelta(days=1)
"""For devices whose clock is behind."""
REQUEST_AT_MOST = 10_000
"""Bytes of a certificate request."""
SECRET_BYTES = 32
_PairKey = X25519PrivateKey | Ed25519PrivateKey


class KeysError(Exception):
    """The box's keys can't be used as they are. The message says what to do."""


class RequestError(ValueError):
    """A certificate request that is not signed. The message is one sentence for the person who brought it."""


def make_keys(config: Config, now: datetime) -> list[str]:
    """Make what is missing or about to end; the names of the files that changed. Run daily: it renews, too.

    Raises KeysError where something is missing that can only come from a backup.
    """
    make_private_folder(config.keys)
    made = _make_authority(config, now)
    made += _make_certificate(config, "server", _server_builder(config), now)
    made += _make_certificate(config, INGEST, _client_builder(INGEST), now)
    made += _make_box_key(config)
    made += _make_policy_key(config)
    made += _make_secret(config, "capture.key", config.captures)
    made += _make_secret(config, "session.key", None)
    if refresh_crl(config, now):
        made.append("crl.pem")
    return made


def load_box_key(config: Config) -> X25519PrivateKey:
    """The key that opens what devices seal. Raises KeysError."""
    key = _load_key(config.keys / "box.key")
    if not isinstance(key, X25519PrivateKey):
        raise KeysError("box.key is not an X25519 key. Restore it from the backup.")
    return key


def load_policy_key(config: Config) -> Ed25519PrivateKey:
    """The key that signs policies. Raises KeysError."""
    key = _load_key(config.keys / "policy.key")
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysError("policy.key is not an Ed25519 key. Restore it from the backup.")
    return key


def load_secret(config: Config, name: str) -> bytes:
    """The 32 bytes of ``capture.key`` or ``session.key``. Raises KeysError."""
    secret = _read(config.keys / name)
    if len(secret) != SECRET_BYTES:
        raise KeysError(f"{name} does not hold {SECRET_BYTES} bytes. Restore it from the backup.")
    return secret


def sign_request(
    config: Config, csr_pem: bytes, device_id: str, now: datetime, *, any_name: bool = False
) -> tuple[bytes, Certificate]:
    """Sign a device's request: its certificate (PEM), and what is kept of it.

    Of the request only the key and the name count; whatever else it asks for is left out. any_name: the request may
    propose another name; the certificate has ``device_id`` all the same. Raises RequestError.
    """
    if not is_device_id(device_id):
        raise RequestError("A device's name is letters, digits and dashes, at most 64, and none of the box's own.")
    if len(csr_pem) > REQUEST_AT_MOST:
        raise RequestError(f"The certificate request is larger than {REQUEST_AT_MOST:,} bytes.")
    try:
        request = x509.load_pem_x509_csr(csr_pem)
        key, is_signed = request.public_key(), request.is_signature_valid
        names = [str(name.value) for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RequestError("The certificate request can't be read.") from None
    if not is_signed:
        raise RequestError("The certificate request is not signed with the key it holds.")
    if names != [device_id] and not any_name:
        raise RequestError("The certificate request is for another name than the device's.")
    strong = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    if not strong and not (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048):
        raise RequestError("The request's key is neither P-256 nor P-384 nor RSA of 2048 bits or more.")
    certificate = _sign(config, _client_builder(device_id), key, now, DEVICE_DAYS)
    serial = serial_text(certificate.serial_number)
    return certificate.public_bytes(Encoding.PEM), Certificate(serial, certificate.not_valid_after_utc)


def revoke(config: Config, serials: Iterable[str], now: datetime) -> bool:
    """Put certificates on the list of revoked ones, for good. Whether the list changed: tell the broker then.

    A connection that is already open is not ended by it: the broker's rules must deny the device as well.
    """
    revoked = _revoked(config)
    known = {one.serial_number for one in revoked}
    numbers = sorted({int(serial, 16) for serial in serials} - known)
    builder = x509.RevokedCertificateBuilder().revocation_date(now)
    if numbers:
        _write_crl(config, [*revoked, *(builder.serial_number(number).build() for number in numbers)], now)
    return bool(numbers)


def refresh_crl(config: Config, now: datetime) -> bool:
    """Write the list of revoked certificates anew when it is missing or over a day old: it always has months to run.

    Whether it was written: the broker must then be told with `mosquitto.reload`.
    """
    path = config.keys / "crl.pem"
    if path.exists():
        ends = _load_crl(path).next_update_utc
        if ends is not None and ends - now > timedelta(days=CRL_DAYS - 1):
            return False
    _write_crl(config, _revoked(config), now)
    return True


def serial_text(serial: int) -> str:
    """A serial number as the box writes it."""
    return f"{serial:x}"


# -- the authority


def _make_authority(config: Config, now: datetime) -> list[str]:
    key_path, path = config.keys / "ca.key", config.keys / "ca.crt"
    if path.exists():
        if not key_path.exists():
            raise KeysError("ca.key is missing beside ca.crt. Restore it from the backup: no device can be enrolled.")
        return []
    made = _make_key(key_path)
    key = _load_ec_key(key_path)
    # the name differs from box to box, so that a browser that knows two boxes can't mix them up
    name = _name(f"Trustkeep authority {secrets.token_hex(4)}")
    certificate = (
        _builder(name, name, key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_file(path, certificate.public_bytes(Encoding.PEM), PUBLIC)
    return [*made, path.name]


def _sign(
    config: Config,
    parts: tuple[x509.Name, list[x509.ExtensionType]],
    key: CertificatePublicKeyTypes,
    now: datetime,
    days: int,
) -> x509.Certificate:
    name, extensions = parts
    authority, authority_key = _load_certificate(config.keys / "ca.crt"), _load_ec_key(config.keys / "ca.key")
    builder = (
        _builder(name, authority.subject, key, now, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(_authority_identifier(authority), critical=False)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(authority_key, hashes.SHA256())


def _builder(
    name: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


# -- the box's own certificates


def _server_builder(config: Config) -> tuple[x509.Name, list[x509.ExtensionType]]:
    names = list(dict.fromkeys([config.host_name, "localhost", "127.0.0.1", "::1"]))
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return _name(config.host_name[:64]), [alternatives, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])]


def _client_builder(name: str) -> tuple[x509.Name, list[x509.ExtensionType]]:
    return _name(name), [x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _make_certificate(
    config: Config, name: str, parts: tuple[x509.Name, list[x509.ExtensionType]], now: datetime
) -> list[str]:
    """Make ``name``.key and ``name``.crt, or the certificate anew where it no longer fits or is about to end."""
    key_path, path = config.keys / f"{name}.key", config.keys / f"{name}.crt"
    made = _make_key(key_path)
    key = _load_ec_key(key_path).public_key()
    if path.exists() and _still_fits(config, _load_certificate(path), parts, key, now):
        return made
    write_file(path, _sign(config, parts, key, now, SERVER_DAYS).public_bytes(Encoding.PEM), PUBLIC)
    return [*made, path.name]


def _still_fits(
    config: Config,
    certificate: x509.Certificate,
    parts: tuple[x509.Name, list[x509.ExtensionType]],
    key: CertificatePublicKeyTypes,
    now: datetime,
) -> bool:
    name, extensions = parts
    there = {type(extension.value): extension.value for extension in certificate.extensions}
    return (
        certificate.not_valid_after_utc - now > RENEW_BEFORE
        and certificate.public_key() == key
        and certificate.subject == name
        and certificate.issuer == _load_certificate(config.keys / "ca.crt").subject
        and all(there.get(type(extension)) == extension for extension in extensions)
    )


# -- the other keys


def _make_box_key(config: Config) -> list[str]:
    return _make_pair(config, "box", X25519PrivateKey.generate, load_box_key, "devices seal for it")


def _make_policy_key(config: Config) -> list[str]:
    return _make_pair(config, "policy", Ed25519PrivateKey.generate, load_policy_key, "devices take no other's word")


def _make_pair(
    config: Config, name: str, generate: Callable[[], _PairKey], load: Callable[[Config], _PairKey], why: str
) -> list[str]:
    key_path, path = config.keys / f"{name}.key", config.keys / f"{name}.pub"
    made = []
    if not key_path.exists():
        if path.exists():
            raise KeysError(f"{name}.key is missing beside {name}.pub. Restore it from the backup: {why}.")
        write_file(key_path, _private_pem(generate()), SECRET)
        made.append(key_path.name)
    public = load(config).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if not path.exists() or path.read_bytes() != public:
        write_file(path, public, PUBLIC)
        made.append(path.name)
    return made


def _make_secret(config: Config, name: str, opens: Path | None) -> list[str]:
    path = config.keys / name
    if path.exists():
        return []
    if opens is not None and opens.is_dir() and any(opens.iterdir()):
        raise KeysError(f"{name} is missing, and {opens.name} holds what only it opens. Restore it from the backup.")
    write_file(path, secrets.token_bytes(SECRET_BYTES), SECRET)
    return [name]


def _make_key(path: Path) -> list[str]:
    if path.exists():
        return []
    write_file(path, _private_pem(ec.generate_private_key(ec.SECP256R1())), SECRET)
    return [path.name]


def _private_pem(key: ec.EllipticCurvePrivateKey | _PairKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeysError(f"{path.name} can't be read: {error.strerror}. Make the keys first.") from None


def _load_key(path: Path) -> object:
    try:
        return load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeysError(f"{path.name} is damaged. Restore it from the backup.") from None


def _load_ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = _load_key(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeysError(f"{path.name} is not a P-256 key. Restore it from the backup.")
    return key


def _load_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(_read(path))
    except ValueError:
        raise KeysError(f"{path.name} is damaged. Restore it from the backup.") from None


# -- revoked certificates


def _load_crl(path: Path) -> x509.CertificateRevocationList:
    try:
        return x509.load_pem_x509_crl(_read(path))
    except ValueError:
        raise KeysError(f"{path.name} is damaged. Restore it from the backup.") from None


def _revoked(config: Config) -> list[x509.RevokedCertificate]:
    path = config.keys / "crl.pem"
    return list(_load_crl(path)) if path.exists() else []


def _write_crl(config: Config, revoked: list[x509.RevokedCertificate], now: datetime) -> None:
    authority, key = _load_certificate(config.keys / "ca.crt"), _load_ec_key(config.keys / "ca.key")
    builder = (
        x509.CertificateRevocationListBuilder(revoked_certificates=revoked)
        .issuer_name(authority.subject)
        .last_update(now - BACKDATED)
        .next_update(now + timedelta(days=CRL_DAYS))
        .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), critical=False)
        .add_extension(_authority_identifier(authority), critical=False)
    )
    write_file(config.keys / "crl.pem", builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), PUBLIC)
