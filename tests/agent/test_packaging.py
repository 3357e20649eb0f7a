"""The Windows installer, made with wixl and read with msiinfo: what it installs, and where enrolment finds the box."""

import subprocess

import pytest

from agent.packaging.msi import PackagingError, main, make_installer, make_source


@pytest.fixture
def frozen(tmp_path):
    """What a frozen agent looks like."""
    folder = tmp_path / "frozen & ready"
    (folder / "_internal" / "agent").mkdir(parents=True)
    for name in ("trustkeep-agent.exe", "_internal/python311.dll", "_internal/agent/common_words.txt"):
        (folder / name).write_bytes(name.encode() * 100)
    return folder


def table(installer, name):
    """The rows of a table, as lists of texts."""
    done = subprocess.run(["msiinfo", "export", str(installer), name], capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()[3:]]


@pytest.fixture
def installer(frozen, tmp_path):
    make_installer(frozen, tmp_path / "agent.msi", "1.2.3")
    return tmp_path / "agent.msi"


def test_it_holds_every_file_in_its_folder(installer, tmp_path):
    names = {row[2].rpartition("|")[2] for row in table(installer, "File")}
    assert names == {"trustkeep-agent.exe", "python311.dll", "common_words.txt"}
    folders = {row[2].rpartition("|")[2] for row in table(installer, "Directory")}
    assert {"_internal", "agent", "Trustkeep Agent"} <= folders
    subprocess.run(["msiextract", "-C", str(tmp_path / "out"), str(installer)], check=True, capture_output=True)
    extracted = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert extracted["python311.dll"] == b"_internal/python311.dll" * 100


def test_it_installs_the_service_and_takes_it_along_when_it_goes(installer):
    (service,) = table(installer, "ServiceInstall")
    assert service[1] == "TrustkeepAgent" and "service" in service
    (control,) = table(installer, "ServiceControl")
    # started at the installation; stopped and removed at its end
    assert control[1] == "TrustkeepAgent" and int(control[2]) & 0b10100001 == 0b10100001


def test_enrolment_finds_the_box_in_the_registry_and_the_code_stays_out_of_the_log(installer):
    values = {row[3]: row[4] for row in table(installer, "Registry")}
    assert values == {"Box": "[BOX]", "Fingerprint": "[FINGERPRINT]", "EnrolmentCode": "[ENROL]"}
    properties = dict(row[:2] for row in table(installer, "Property"))
    # wixl may add names of its own
    assert {"BOX", "ENROL", "FINGERPRINT"} <= set(properties["SecureCustomProperties"].split(";"))
    assert properties["MsiHiddenProperties"] == "ENROL"
    assert properties["ProductVersion"] == "1.2.3"


def test_a_newer_one_takes_the_place_of_an_older(installer):
    assert any("7C1E4C1B-6B0A-4B7E-9E57-3F0D6A4C2B11" in row[0] for row in table(installer, "Upgrade"))


def test_a_file_keeps_its_component_from_version_to_version(frozen):
    one, other = make_source(frozen, "1.2.3"), make_source(frozen, "1.2.4")
    assert one.replace("1.2.3", "") == other.replace("1.2.4", "")


def test_what_is_missing_is_said(frozen, tmp_path, capsys):
    with pytest.raises(PackagingError, match="three numbers"):
        make_source(frozen, "1.2")
    assert main(["--source", str(tmp_path), "--out", str(tmp_path / "agent.msi")]) == 2
    assert "there is no trustkeep-agent.exe" in capsys.readouterr().err
