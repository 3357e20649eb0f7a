"""The certificate renewed by the device itself: when, with which key, and that a bad answer costs nothing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from agent.message import NewCertificate
from agent.renewal import Renewal, RenewalError
from tests.agent.conftest import DEVICE

NOW = datetime.now(UTC)


@pytest.fixture
def credentials(device, tmp_path, broker):
    """A device whose certificate has lived an hour of an hour and two minutes."""
    certificate, key = broker.authority.issue(DEVICE, days=2 / 1440)
    files = {"certificate": certificate, "key": key, "ca": device.credentials.ca}
    for name, path in files.items():
        files[name] = tmp_path / f"own-{name}"
        files[name].write_bytes(path.read_bytes())
    return replace(device.credentials, **files)


def answer(authority, csr, **named):
    return NewCertificate(authority.sign_request(csr, **named), authority.path.read_bytes())


def test_it_is_asked_for_at_two_thirds_of_its_life(credentials, authority):
    renewal = Renewal(credentials)
    certificate = x509.load_pem_x509_certificate(credentials.certificate.read_bytes())
    begin, life = certificate.not_valid_before_utc, certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert renewal.request(begin + life * 0.66) is None
    csr = x509.load_pem_x509_csr(renewal.request(begin + life * 0.67))
    assert csr.is_signature_valid
    assert csr.subject == certificate.subject
    assert csr.public_key() != certificate.public_key()


def test_it_is_asked_for_once_an_hour_with_the_same_new_key(credentials):
    renewal = Renewal(credentials)
    first = renewal.request(NOW)
    assert renewal.request(NOW + timedelta(minutes=59)) is None
    again = Renewal(credentials).request(NOW)
    assert x509.load_pem_x509_csr(again).public_key() == x509.load_pem_x509_csr(first).public_key()


def test_the_old_pair_stays_until_the_new_certificate_has_connected(credentials, authority):
    renewal = Renewal(credentials)
    old = credentials.key.read_bytes()
    renewal.accept(answer(authority, renewal.request(NOW)), NOW)
    used = renewal.credentials()
    assert used.certificate != credentials.certificate and credentials.key.read_bytes() == old
    renewal.failed(used)
    assert renewal.credentials() == credentials
    renewal.failed(credentials)
    assert renewal.credentials() == used
    assert renewal.connected(used)
    assert renewal.credentials() == credentials and credentials.key.read_bytes() != old
    assert not used.key.exists() and not used.certificate.exists()
    assert renewal.request(NOW) is None
    assert not renewal.connected(credentials)


@pytest.mark.parametrize("done", [1, 2])
def test_a_crash_in_the_middle_of_the_swap_is_made_good(credentials, authority, done):
    renewal = Renewal(credentials)
    renewal.accept(answer(authority, renewal.request(NOW)), NOW)
    new = renewal.credentials()
    expected = new.key.read_bytes(), new.certificate.read_bytes()
    for name in ("key", "ca")[:done]:
        getattr(new, name).replace(getattr(credentials, name))
    again = Renewal(credentials)
    assert again.credentials() == credentials
    assert (credentials.key.read_bytes(), credentials.certificate.read_bytes()) == expected


def test_a_bad_answer_changes_nothing(credentials, authority, make_authority):
    renewal = Renewal(credentials)
    csr = renewal.request(NOW)
    good = answer(authority, csr)
    other_key = Renewal(replace(credentials, key=credentials.key.with_name("other"))).request(NOW)
    stranger = make_authority("Somebody else's authority")
    for bad in (
        NewCertificate(b"no certificate", good.ca),
        answer(authority, other_key),
        answer(authority, csr, name="larkfield-lib-08"),
        NewCertificate(stranger.sign_request(csr), good.ca),
        answer(authority, csr, days=-0.01),
    ):
        with pytest.raises(RenewalError):
            renewal.accept(bad, NOW)
    assert renewal.credentials() == credentials


def test_without_a_request_no_certificate_is_taken(credentials, authority):
    asked = Renewal(credentials)
    certificate = answer(authority, asked.request(NOW))
    credentials.key.with_name(credentials.key.name + ".new").unlink()
    with pytest.raises(RenewalError, match="asked for"):
        Renewal(credentials).accept(certificate, NOW)


def test_the_whole_way_over_the_broker(device, box, wait_until, credentials, authority):
    device.credentials = credentials
    old = credentials.certificate.read_bytes()
    device.start({"renewal": Renewal(credentials)}, reconnect=0.01)
    wait_until(lambda: box.requests, "a request")
    new = answer(authority, box.requests[0])
    payload = {"certificate": new.certificate.decode(), "ca": new.ca.decode()}
    box.tell("certificate", DEVICE, b'{"certificate": "none", "ca": ""}')
    device.wait_for_line("new certificate refused")
    box.tell("certificate", DEVICE, json.dumps(payload).encode())
    device.wait_for_line("the renewed certificate is in use")
    assert credentials.certificate.read_bytes() == new.certificate != old
    device.put()
    wait_until(lambda: device.depth == 0, "an event sent with it")
