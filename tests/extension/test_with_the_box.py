"""The extension and a whole running box: from a code of the portal to the moderators' queue."""

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from tests.extension.browser import Browser
from tests.whole_box import ROOT, WholeBox, wait_for

LINE = "document.getElementById('line')"


def command(box: WholeBox, *arguments: str) -> str:
    """What the box's command line prints."""
    environment = {**os.environ, "TRUSTKEEP_HOME": str(box.home), "TRUSTKEEP_PORTAL_PORT": str(box.portal_port)}
    run = [sys.executable, "-m", "appliance", *arguments]
    return subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def desk(
    tmp_path_factory: pytest.TempPathFactory, whole_box: WholeBox, unpacked: Path, pages: int
) -> Iterator[SimpleNamespace]:
    """A browser that has enrolled at the box with a code."""
    certificate = load_pem_x509_certificate((whole_box.home / "keys" / "server.crt").read_bytes())
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    flag = "--ignore-certificate-errors-spki-list=" + base64.b64encode(hashlib.sha256(spki).digest()).decode()
    (academy,) = whole_box.database().conn.execute("SELECT id FROM academy LIMIT 1").fetchone()
    browser = Browser(tmp_path_factory.mktemp("home") / "profile", flag, extension=unpacked)
    page = browser.open(f"chrome-extension://{browser.extension_id()}/setup.html")
    page.wait("!document.getElementById('connect').hidden")
    code = command(whole_box, "enrolment-code", "--academy", academy, "--place", "Library")
    for field, text in (("box", whole_box.url), ("code", code), ("name", "Trolley 4")):
        page.focus(f"document.getElementById('{field}')")
        page.type(text)
    page.type("\n")
    page.wait("/connected as/.test(document.getElementById('words').textContent)")
    page.wait("chrome.runtime.sendMessage({kind: 'status'}).then((told) => told.connected)", 60)
    device = str(page.evaluate("chrome.runtime.sendMessage({kind: 'status'}).then((told) => told.deviceId)"))
    yield SimpleNamespace(browser=browser, page=page, device=device, port=pages, academy=academy, code=code)
    browser.close()


def event_row(box: WholeBox, device: str, words: str) -> dict[str, Any]:
    """The event in the box's database, once the machine has read it."""
    db = box.database()
    query = "SELECT * FROM event WHERE device_id = ? AND typed LIKE ? AND assessed_at IS NOT NULL"
    try:
        found = wait_for(words, lambda: list(db.query(query, [device, f"%{words}%"])), within=120)
    finally:
        db.close()
    return dict(found[0])


def test_a_typed_phrase_reaches_the_moderators_queue(desk: SimpleNamespace, whole_box: WholeBox) -> None:
    page = desk.browser.open(f"http://school.example:{desk.port}/plain.html")
    page.focus(LINE)
    page.type("please dont make me, im scared to go home tonight")
    row = event_row(whole_box, desk.device, "scared to go home tonight")
    assert row["application"] == "Chromium" and row["window_title"] == "A page"
    assert row["state"] == "awaiting_moderation"
    desk.page.wait("chrome.runtime.sendMessage({kind: 'status'}).then((told) => told.waiting === 0)")


def test_i_need_help_always_reaches_a_person(desk: SimpleNamespace, whole_box: WholeBox) -> None:
    sent = desk.page.evaluate("chrome.runtime.sendMessage({kind: 'help', text: 'may I talk to someone', image: false})")
    assert sent == {"image": False}
    row = event_row(whole_box, desk.device, "may I talk to someone")
    assert row["rule_id"] == "pupil-help" and row["state"] == "awaiting_moderation"


def test_the_box_knows_how_the_browser_stands(desk: SimpleNamespace, whole_box: WholeBox) -> None:
    db = whole_box.database()

    def heard() -> dict[str, Any] | None:
        found = list(db.query("SELECT * FROM device WHERE id = ? AND last_seen_at IS NOT NULL", [desk.device]))
        return dict(found[0]) if found else None

    row = wait_for("a heartbeat", heard)
    db.close()
    assert row is not None and row["place"] == "Library" and row["agent_version"] == "0.1.0"


def test_a_device_that_is_shut_out_is_disconnected(desk: SimpleNamespace, whole_box: WholeBox) -> None:
    command(whole_box, "revoke", desk.device)
    desk.page.wait("chrome.runtime.sendMessage({kind: 'status'}).then((told) => !told.connected)", 30)
