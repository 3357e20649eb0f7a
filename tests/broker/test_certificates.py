"""The box's keys: made once, renewed in time, never replaced in silence; and what is signed for a device."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from agent.enrolment import make_key_and_request
from appliance.broker import certificates
from appliance.broker.certificates import (
    KeysError,
    RequestError,
    load_box_key,
    load_secret,
    make_keys,
    refresh_crl,
    revoke,
    sign_request,
)
from appliance.config import Config

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SECRETS = {"policy.key", "ca.key", "server.key", "ingest.key", "box.key", "capture.key", "session.key"}
OPEN = {"ca.crt", "server.crt", "ingest.crt", "box.pub", "policy.pub", "crl.pem"}


@pytest.fixture
def config(tmp_path) -> Config:
    made = Config(home=tmp_path / "box", host_name="box.larkfield.example")
    make_keys(made, NOW)
    return made


def contents(config: Config) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in config.keys.iterdir()}


def certificate(config: Config, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((config.keys / name).read_bytes())


def crl(config: Config) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl((config.keys / "crl.pem").read_bytes())


def request(name: str = "ASH-01", key=None, names=None) -> bytes:
    names = [name] if names is None else names
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one) for one in names])
    key = key or ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def test_every_key_is_made_and_secrets_are_the_owners_alone(config):
    assert set(contents(config)) == SECRETS | OPEN
    assert config.keys.stat().st_mode & 0o777 == 0o700
    for name in SECRETS:
        assert (config.keys / name).stat().st_mode & 0o777 == 0o600, name
    assert len(load_secret(config, "capture.key")) == len(load_secret(config, "session.key")) == 32
    assert load_secret(config, "capture.key") != load_secret(config, "session.key")
    public = load_pem_public_key((config.keys / "box.pub").read_bytes())
    assert public == load_box_key(config).public_key()


def test_making_again_changes_nothing(config):
    before = contents(config)
    assert make_keys(config, NOW + timedelta(hours=23)) == []
    assert contents(config) == before


def test_only_what_is_missing_is_made(config):
    before = contents(config)
    (config.keys / "session.key").unlink()
    (config.keys / "box.pub").unlink()
    assert make_keys(config, NOW) == ["box.pub", "session.key"]
    after = contents(config)
    assert {name for name in before if before[name] != after[name]} == {"session.key"}


def test_what_only_a_backup_can_bring_back_is_not_made_anew(config):
    config.captures.mkdir(parents=True)
    (config.captures / "ab").mkdir()
    for name in ("ca.key", "box.key", "capture.key"):
        kept = (config.keys / name).read_bytes()
        (config.keys / name).unlink()
        with pytest.raises(KeysError, match=rf"{name} is missing.*backup"):
            make_keys(config, NOW)
        (config.keys / name).write_bytes(kept)
    assert make_keys(config, NOW) == []


def test_a_damaged_key_is_said_to_be(config):
    (config.keys / "box.key").write_bytes(b"-----BEGIN")
    with pytest.raises(KeysError, match=r"box\.key is damaged"):
        load_box_key(config)
    (config.keys / "capture.key").write_bytes(b"short")
    with pytest.raises(KeysError, match=r"capture\.key does not hold 32 bytes"):
        load_secret(config, "capture.key")


def test_the_servers_certificate_names_the_box_and_this_machine(config):
    server = certificate(config, "server.crt")
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["box.larkfield.example", "localhost"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    server.verify_directly_issued_by(certificate(config, "ca.crt"))
    assert server.not_valid_after_utc - NOW <= timedelta(days=825)


def test_a_new_host_name_brings_a_new_certificate_for_the_same_key(config):
    key = (config.keys / "server.key").read_bytes()
    renamed = replace(config, host_name="10.20.30.40")
    assert make_keys(renamed, NOW) == ["server.crt"]
    names = certificate(config, "server.crt").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["10.20.30.40", "127.0.0.1", "::1"]
    assert (config.keys / "server.key").read_bytes() == key
    assert make_keys(renamed, NOW) == []


def test_certificates_are_renewed_before_they_end(config):
    soon = certificate(config, "server.crt").not_valid_after_utc - timedelta(days=59)
    assert make_keys(config, soon) == ["server.crt", "ingest.crt", "crl.pem"]
    assert certificate(config, "server.crt").not_valid_after_utc > soon + timedelta(days=700)


def test_the_box_trusts_its_own_server_by_the_strict_rules(config):
    """A handshake in memory, checked as newer Pythons check by default."""
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now_made = replace(config, home=config.home.with_name("now"))
    make_keys(now_made, datetime.now(UTC))
    server_side.load_cert_chain(now_made.keys / "server.crt", now_made.keys / "server.key")
    client_side = ssl.create_default_context(cafile=now_made.keys / "ca.crt")
    client_side.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    waiting = {client, server}
    for _ in range(6):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                pass
    assert not waiting
    assert client.getpeercert()["subject"] == ((("commonName", "box.larkfield.example"),),)


def test_a_devices_own_request_is_signed(config, tmp_path):
    made = make_key_and_request(tmp_path / "device", "ASH-01")
    pem, kept = sign_request(config, made.request.read_bytes(), "ASH-01", NOW)
    signed = x509.load_pem_x509_certificate(pem)
    signed.verify_directly_issued_by(certificate(config, "ca.crt"))
    assert signed.subject.rfc4514_string() == "CN=ASH-01"
    assert (int(kept.serial, 16), kept.ends_at) == (signed.serial_number, signed.not_valid_after_utc)
    assert timedelta(days=360) < kept.ends_at - NOW <= timedelta(days=366)
    usage = signed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert signed.not_valid_before_utc < NOW < signed.not_valid_after_utc


def test_a_request_gets_no_more_than_its_name(config):
    key = ec.generate_private_key(ec.SECP256R1())
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.COMMON_NAME, "ASH-01"),
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "ingest"),
                ]
            )
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("ingest")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    signed = x509.load_pem_x509_certificate(sign_request(config, greedy.public_bytes(Encoding.PEM), "ASH-01", NOW)[0])
    assert signed.subject.rfc4514_string() == "CN=ASH-01"
    assert not signed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    with pytest.raises(x509.ExtensionNotFound):
        signed.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def forged() -> bytes:
    """A request whose signature is not by the key it holds: a byte of the name was changed after signing."""
    der = x509.load_pem_x509_csr(request("ASH-02")).public_bytes(Encoding.DER).replace(b"ASH-02", b"ASH-01")
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


REFUSED = {
    "for the box's subscriber": (lambda: request("ingest"), "ingest", "none of the box's own"),
    "in other letters": (lambda: request("Ingest"), "Ingest", "none of the box's own"),
    "for a pattern": (lambda: request("+"), "+", "letters, digits and dashes"),
    "too long a name": (lambda: request("a"), "a" * 65, "letters, digits and dashes"),
    "for another device": (lambda: request("ASH-02"), "ASH-01", "another name"),
    "for two names": (lambda: request(names=["ASH-01", "ingest"]), "ASH-01", "another name"),
    "for no name": (lambda: request(names=[]), "ASH-01", "another name"),
    "forged": (forged, "ASH-01", "not signed with the key"),
    "not a request": (lambda: b"hello", "ASH-01", "can't be read"),
    "empty": (lambda: b"", "ASH-01", "can't be read"),
    "too large": (lambda: request() + b"\n" * 20_000, "ASH-01", "larger than"),
    "a weak RSA key": (lambda: request(key=rsa.generate_private_key(65537, 1024)), "ASH-01", "neither P-256"),
    "a rare curve": (lambda: request(key=ec.generate_private_key(ec.SECP256K1())), "ASH-01", "neither P-256"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_is_refused(config, case):
    make_request, device_id, reason = REFUSED[case]
    with pytest.raises(RequestError, match=reason):
        sign_request(config, make_request(), device_id, NOW)


def test_a_revoked_certificate_stays_on_the_list(config):
    serials = [sign_request(config, request(), "ASH-01", NOW)[1].serial for _ in range(2)]
    for serial in [*serials, serials[0]]:
        revoke(config, [serial], NOW)
    assert not revoke(config, serials, NOW)
    assert refresh_crl(config, NOW + timedelta(days=40))
    assert [certificates.serial_text(one.serial_number) for one in crl(config)] == serials
    assert crl(config).is_signature_valid(certificate(config, "ca.crt").public_key())


def test_the_list_of_revoked_ones_is_written_daily_and_runs_a_month_at_least(config):
    assert crl(config).next_update_utc - NOW >= timedelta(days=30)
    assert not refresh_crl(config, NOW + timedelta(hours=23))
    assert refresh_crl(config, NOW + timedelta(hours=25))
    assert crl(config).next_update_utc >= NOW + timedelta(days=1 + 30)
