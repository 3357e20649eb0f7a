"""The packed extension, installed by the browser's policy, enrolled by its managed settings, and updated by itself."""

import base64
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from agent.browser import pack
from tests.extension.box import SmallBox
from tests.extension.browser import Browser
from tests.extension.conftest import serve
from tests.whole_box import wait_for

LINE = "document.getElementById('line')"


def may_mount() -> bool:
    """Whether this user may have a view of the file system of its own."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address, from which browsers fetch the extension."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = serve(folder)
    yield folder, f"http://127.0.0.1:{server.server_address[1]}/update.xml"
    server.shutdown()
    server.server_close()


def test_what_is_packed_is_whole_signed_and_the_same_every_time(tmp_path: Path) -> None:
    arguments = ["--key", str(tmp_path / "key.pem"), "--update-url", "https://box.example/browser/update.xml"]
    for name in ("one", "two"):
        extra = ["--out", str(tmp_path / name), "--box", "https://box.example", "--code", "ABCD-EFGH-JKMN"]
        assert pack.main([*arguments, *extra, "--unpacked"]) == 0
    crx = (tmp_path / "one" / "trustkeep.crx").read_bytes()
    assert crx == (tmp_path / "two" / "trustkeep.crx").read_bytes()
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(tmp_path / "one" / "trustkeep.crx") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
    assert {"worker.js", "content.js", "common_words.txt", "sites.json", "managed_schema.json"} <= names
    identifier = pack.extension_id(base64.b64decode(manifest["key"]))
    policy = json.loads((tmp_path / "one" / "chromium-policy.json").read_text())
    assert policy["ExtensionSettings"][identifier]["installation_mode"] == "force_installed"
    assert policy["3rdparty"]["extensions"][identifier] == {"box": "https://box.example", "code": "ABCD-EFGH-JKMN"}
    assert f'appid="{identifier}"' in (tmp_path / "one" / "update.xml").read_text()
    admin = json.loads((tmp_path / "one" / "google-admin.json").read_text())
    assert admin == {"box": {"Value": "https://box.example"}, "code": {"Value": "ABCD-EFGH-JKMN"}}


def test_every_file_of_the_extension_is_used_and_none_holds_script_in_its_html() -> None:
    held = {path.name: path.read_text(errors="ignore") for path in pack.SOURCE.iterdir() if path.suffix != ".png"}
    everything = "\n".join(held.values())
    assert [name for name in held if name != "manifest.json" and name not in everything] == []
    for name, text in held.items():
        if name.endswith(".html"):
            assert "<script>" not in text and " on" + "click=" not in text and 'lang="en-GB"' in text


@pytest.mark.skipif(not may_mount(), reason="a policy of the browser's own needs root and unshare")
def test_forced_by_policy_enrolled_by_it_and_updated(
    tmp_path: Path, site: tuple[Path, str], box: SmallBox, pages: int
) -> None:
    folder, update_url = site
    key = pack.load_or_make_key(tmp_path / "key.pem")
    identifier = pack.write_all(key, folder, update_url, box.url, box.code)
    policies = tmp_path / "policies"
    (policies / "managed").mkdir(parents=True)
    policy = json.loads((folder / "chromium-policy.json").read_text())
    certificate = load_pem_x509_certificate(box.certificate.read_bytes())
    policy["CACertificates"] = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()]
    # as packed, nobody may look into the extension: not even this test, which must ask it for an update
    assert policy["DeveloperToolsAvailability"] == 0
    policy["DeveloperToolsAvailability"] = 1
    (policies / "managed" / "trustkeep.json").write_text(json.dumps(policy))

    with closing(Browser(tmp_path / "profile", policies=policies)) as browser:
        beat = box.wait_for_beat(
            lambda one: one["device_id"] == next(iter(box.devices)), "a browser that enrolled by itself"
        )
        assert (beat["platform"], beat["agent_version"], beat["monitored_now"]) == ("browser", "0.1.0", True)
        assert browser.extension_id() == identifier
        page = browser.open(f"http://school.example:{pages}/plain.html")
        page.focus(LINE)
        page.type("forced, a purple elephant")
        arrived = box.wait_for_event(lambda one: "forced, a purple" in one.report.event.typed, "the event")
        assert arrived.report.capture is not None
        # the notice came up by itself
        assert wait_for("the notice", lambda: browser.targets("page", f"chrome-extension://{identifier}/notice.html"))

        # a new version: taken, and the page that is open goes on being read without being loaded anew
        offer(folder, key, update_url, "0.1.1")
        with browser.worker() as evaluate:
            evaluate("void chrome.runtime.requestUpdateCheck()")
        box.wait_for_beat(lambda one: one["agent_version"] == "0.1.1", "the new version")
        page.front()
        page.evaluate(f"{LINE}.value = ''")
        page.focus(LINE)
        page.type("after the update, scared to go home")
        box.wait_for_event(lambda one: "after the update" in one.report.event.typed, "the event after the update")


def offer(folder: Path, key: RSAPrivateKey, update_url: str, version: str) -> None:
    """Put another version where browsers fetch the extension."""
    (folder / pack.CRX_NAME).write_bytes(pack.pack(key, pack.files(key, update_url, version)))
    crx_url = f"{update_url.rpartition('/')[0]}/{pack.CRX_NAME}"
    manifest = pack.update_manifest(pack.extension_id(pack.public_der(key)), version, crx_url)
    (folder / "update.xml").write_text(manifest)
