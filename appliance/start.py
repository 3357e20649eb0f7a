"""Bringing the box up on one machine: the checks before, what must exist, and the programs."""

import os
import resource
import secrets
import shutil
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from appliance.broker import certificates
from appliance.broker.upkeep import write_broker_files
from appliance.config import Config
from appliance.front import write_front_configuration
from appliance.log import start_log
from appliance.store.connection import open_system
from appliance.store.migrations import migrate
from appliance.store.people import count_staff, get_password_hash, select_trusts
from appliance.supervisor import Program, Supervisor
from appliance.workflow.enrol import enrol_device
from appliance.workflow.invite import InvitationError, invite_by_system, invite_first_lead

_DISK_NEEDED = 200_000_000
"""Bytes that must be free before the box starts: some two thousand captures."""


_FILES = 65_536


class StartError(Exception):
    """The box can't start. The message is one line that says what to do."""


def prepare(config: Config) -> list[str]:
    """Make the folders, keys and database the box needs. Safe to repeat. Returns the migrations applied.

    Raises StartError when the folder can't be written to or the disk is full.
    """
    _check_home(config)
    os.umask(0o077)
    for folder in (config.data, config.keys, config.run, config.captures, config.index):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificates.make_keys(config, datetime.now(UTC))
    db = open_system(config.database)
    try:
        return migrate(db)
    finally:
        db.close()


def _check_home(config: Config) -> None:
    try:
        config.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = config.home / f".probe-{secrets.token_hex(4)}"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except PermissionError:
        raise StartError(
            f"No right to write in {config.home}. Give this user the right, or name another folder in TRUSTKEEP_HOME."
        ) from None
    except OSError as error:
        raise StartError(f"Can't write in {config.home}: {error.strerror}. Free some space and start again.") from None
    free = shutil.disk_usage(config.home).free
    if free < _DISK_NEEDED:
        raise StartError(
            f"The disk of {config.home} is full: {free // 1_000_000} MB are free and {_DISK_NEEDED // 1_000_000} MB"
            " are needed. Free some space and start again."
        )


def check_ports(config: Config) -> None:
    """Raise StartError when another program holds one of the box's ports."""
    for name in ("portal_port", "broker_port", "websocket_port"):
        port = getattr(config, name)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 the box serves the whole school network
            except PermissionError:
                raise StartError(f"Port {port} needs root. Set TRUSTKEEP_{name.upper()} to one above 1023.") from None
            except OSError:
                raise StartError(
                    f"Port {port} is taken by another program. Stop that one (is the box already running? make stop),"
                    f" or set TRUSTKEEP_{name.upper()} to another port."
                ) from None


def make_setup_link(config: Config, trust_id: str | None = None) -> str | None:
    """The link by which a trust's first lead makes their account, an earlier one being withdrawn; None when it has one.

    Raises StartError where the box holds several trusts and none of them is named.
    """
    db = open_system(config.database)
    try:
        token = invite_first_lead(db, datetime.now(UTC), trust_id)
    except InvitationError:
        known = "; ".join(f"{one_id} ({name})" for one_id, name in select_trusts(db))
        raise StartError(f"Name one of this box's trusts with --trust: {known}.") from None
    finally:
        db.close()
    return f"{config.portal_url}/set-up/{token}" if token else None


def make_invitation_link(config: Config, email: str) -> str | None:
    """A link by which a person sets password and second factor anew, for when nobody in the portal can make one; None
    when there is no such account, or it is disabled."""
    db = open_system(config.database)
    try:
        found = get_password_hash(db, email)
        token = invite_by_system(db, found[0], datetime.now(UTC)) if found else None
    finally:
        db.close()
    return f"{config.portal_url}/invitation/{token}" if token else None


def say_setup_link(config: Config) -> None:
    """Print the set-up link, on a box that has nobody yet; or how to make one, where it holds several trusts."""
    try:
        link = make_setup_link(config)
    except StartError:
        db = open_system(config.database)
        nobody = not count_staff(db)
        db.close()
        if nobody:
            print("\n  Nobody has an account yet. Make the link for a trust's lead: appliance setup-link --trust ID\n")
        return
    if link:
        print("\n  Nobody has an account yet. The trust safeguarding lead makes the first one here, within three days")
        print(f"  (appliance setup-link prints another link):\n\n  {link}\n", flush=True)


def run_box(config: Config, more: Sequence[Program], ready: Callable[[], None]) -> int:
    """Run the box, and more programs beside it, until Ctrl-C. ready: called once the portal answers."""
    for program in ("mosquitto", "nginx"):
        _find(program)
    check_ports(config)
    prepare(config)
    say = start_log("box")
    db = open_system(config.database)
    write_broker_files(config, db, datetime.now(UTC))
    db.close()
    front = write_front_configuration(config, as_root=os.geteuid() == 0)
    ours = [sys.executable, "-m", "appliance"]
    here = {"TRUSTKEEP_HOME": str(config.home)}
    programs = [
        Program("mosquitto", [_find("mosquitto"), "-c", str(config.run / "mosquitto.conf")], quiet=True),
        Program("ingest", [*ours, "ingest"], here),
        *(Program(f"worker {n}", [*ours, "worker", "--number", str(n)], here) for n in range(config.workers)),
        Program("portal", [*ours, "web"], here),
        Program("front", [_find("nginx"), "-e", "stderr", "-c", str(front)]),
        *more,
    ]
    _allow_many_files()
    supervisor = Supervisor(programs, say)
    pid_file = config.run / "box.pid"
    pid_file.write_text(f"{os.getpid()}\n")
    try:
        supervisor.run(lambda: _when_portal_answers(config, ready))
    finally:
        pid_file.unlink(missing_ok=True)
    say("stopped; nothing is lost")
    return 0


def _allow_many_files() -> None:
    """Every connected device is an open file of the broker; an ordinary login allows 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _find(program: str) -> str:
    # Debian keeps both in sbin, which is not on an ordinary user's path
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None:
        raise StartError(f"{program} is not installed. Run: apt-get install {program}")
    return path


def _when_portal_answers(config: Config, ready: Callable[[], None]) -> None:
    context = ssl.create_default_context(cafile=str(config.keys / "ca.crt"))
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"https://localhost:{config.portal_port}/healthz", context=context, timeout=2):
                break
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    ready()


def enrol_from_request(
    config: Config, device_id: str, academy_id: str, request: Path, certificate: Path, place: str
) -> None:
    """Sign a device's request and write its certificate. Raises ValueError when the request is not acceptable."""
    now = datetime.now(UTC)
    db = open_system(config.database)
    try:
        pem = enrol_device(
            db,
            device_id,
            academy_id,
            place,
            request.read_bytes(),
            lambda csr: certificates.sign_request(config, csr, device_id, now),
            now,
        )
    finally:
        db.close()
    certificate.write_bytes(pem)
