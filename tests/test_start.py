"""Starting and stopping a whole box: what is said when it can't, and that it comes back whole."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.config import Config, SettingsError, load_config
from appliance.start import StartError, check_ports, prepare
from tests.whole_box import ROOT, WholeBox, start_box, wait_for


def run_demo(home: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "TRUSTKEEP_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_demo(tmp_path / "box", TRUSTKEEP_PORTAL_PORT=str(port))
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert f"Port {port} is taken" in line and "TRUSTKEEP_PORTAL_PORT" in line


def test_a_folder_one_may_not_write_to_is_one_clear_line(tmp_path: Path) -> None:
    # a file in the way refuses root too, who may write anywhere else
    (tmp_path / "file").write_text("in the way")
    done = run_demo(tmp_path / "file" / "box", TRUSTKEEP_PORTAL_PORT="18443", TRUSTKEEP_BROKER_PORT="18883")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "Can't write in" in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with pytest.raises(StartError, match=r"full: \d+ MB are free and 200 MB are needed"):
            prepare(Config(disk))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_port_below_1024_names_the_setting(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may take any port")
    with pytest.raises(StartError, match="TRUSTKEEP_PORTAL_PORT"):
        check_ports(Config(tmp_path, portal_port=1))


def test_settings_come_from_file_and_environment(tmp_path: Path) -> None:
    (tmp_path / "trustkeep.toml").write_text('host_name = "box.school.example"\nworkers = 3\n')
    config = load_config(
        {"TRUSTKEEP_HOME": str(tmp_path), "TRUSTKEEP_WORKERS": "1", "TRUSTKEEP_OCR_LANGUAGES": "eng+cym"}
    )
    assert (config.host_name, config.workers, config.ocr_languages) == ("box.school.example", 1, ("eng", "cym"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wokers = 3", "no setting 'wokers'"),
        ('workers = "many"', "workers: a whole number"),
        ("workers = ", "trustkeep"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "trustkeep.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        load_config({"TRUSTKEEP_HOME": str(tmp_path)})


@pytest.fixture(scope="module")
def own_box(tmp_path_factory: pytest.TempPathFactory) -> WholeBox:
    return start_box(tmp_path_factory.mktemp("own") / "box", "--speed", "20")


def test_killed_programs_come_back_and_a_second_start_keeps_everything(own_box: WholeBox) -> None:
    db = own_box.database()

    def count() -> int:
        return int(db.conn.execute("SELECT count(*) FROM event").fetchone()[0])

    wait_for("five events", lambda: count() >= 5)
    for program in ("mosquitto", "appliance ingest", "appliance worker --number 0", "appliance web", "nginx"):
        found = subprocess.run(["pgrep", "-f", program], capture_output=True, text=True, check=True).stdout.split()
        mine = [int(pid) for pid in found if str(own_box.home) in environment_of(int(pid))]
        assert mine, program
        before, restarts = count(), own_box.said().count("starting it again")
        for pid in mine:
            os.kill(pid, signal.SIGKILL)
        wait_for(f"a new {program}", lambda restarts=restarts: own_box.said().count("starting it again") > restarts)
        wait_for(f"events after {program} was killed", lambda before=before: count() > before)
    wait_for("the portal after it was killed", own_box.answers)

    assert own_box.stop() == 0
    kept = count()
    begun = time.monotonic()
    again = start_box(own_box.home)
    took = time.monotonic() - begun
    try:
        assert count() >= kept
        accounts = again.accounts()
        assert set(accounts) == {"Trust safeguarding lead", "Designated Safeguarding Lead", "Moderator", "Technician"}
        assert all(password in again.said() for _, password in accounts.values())
        print(f"second start: {took:.1f} s")
        refused = run_demo(own_box.home, "clean", "--yes")
        assert refused.returncode == 1 and "make stop" in refused.stderr
        assert "nothing is lost" in run_demo(own_box.home, "stop").stdout
        assert again.process.wait(timeout=40) == 0
    finally:
        again.stop()


def environment_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return words.decode(errors="replace")


def test_nothing_is_left_running_or_readable_by_others_after_a_stop(own_box: WholeBox) -> None:
    if own_box.process.poll() is None:
        own_box.stop()
    found = subprocess.run(["pgrep", "-f", str(own_box.home)], capture_output=True, text=True).stdout.split()
    assert [pid for pid in found if str(own_box.home) in environment_of(int(pid))] == []
    for folder in ("data", "keys", "run"):
        assert (own_box.home / folder).stat().st_mode & 0o077 == 0
    for key in ("ca.key", "box.key", "capture.key", "session.key", "server.key"):
        assert (own_box.home / "keys" / key).stat().st_mode & 0o077 == 0


def test_what_is_cleaned_is_gone_and_cleaning_again_says_so(own_box: WholeBox) -> None:
    assert run_demo(own_box.home, "clean", "--yes").stdout.strip() == "Deleted."
    assert not own_box.home.exists()
    assert "There is nothing in" in run_demo(own_box.home, "clean", "--yes").stdout
    assert run_demo(own_box.home, "stop").stdout.strip() == "No box is running here."
