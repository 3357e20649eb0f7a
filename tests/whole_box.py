"""A whole running box: real mosquitto, ingest, workers, portal behind its TLS front, mailbox and reporting devices."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from appliance.store.connection import open_system

ROOT = Path(__file__).parents[1]
T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], within: float = 60.0) -> T:
    """Look until there is something to see, and return it."""
    until = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < until, f"waited {within:.0f} s for {what}"
        time.sleep(0.05)  # between two looks; the condition decides, not this
    return found


def free_ports(count: int) -> list[int]:
    """Ports nobody holds at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@dataclass
class WholeBox:
    """A demo box in a folder, with the process that supervises it."""

    home: Path
    portal_port: int
    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.portal_port}"

    def accounts(self) -> dict[str, tuple[str, str]]:
        """E-mail address and password of each demo account, by role title."""
        return {role: (email, password) for _, role, email, password, _ in self._kept()}

    def secrets(self) -> dict[str, str]:
        """The secret of each demo account's authenticator app, by role title."""
        return {role: secret for _, role, _, _, secret in self._kept()}

    def _kept(self) -> list[list[str]]:
        kept: list[list[str]] = json.loads((self.home / "demo" / "accounts.json").read_text())
        return kept

    def database(self) -> Database:
        """The box's database, as the box itself opens it."""
        return open_system(self.home / "data" / "trustkeep.db")

    def mails(self) -> list[str]:
        """The messages in the demo's mailbox."""
        return [path.read_text() for path in sorted((self.home / "demo" / "mail").glob("*.eml"))]

    def said(self) -> str:
        """What the box has printed."""
        return self.output.read_text(errors="replace")

    def answers(self) -> bool:
        """Whether the portal answers through its TLS front."""
        try:
            context = ssl.create_default_context(cafile=str(self.home / "keys" / "ca.crt"))
            with urllib.request.urlopen(f"{self.url}/healthz", context=context, timeout=2) as response:
                return response.status == 200
        except OSError:
            return False

    def stop(self) -> int:
        """Stop as Ctrl-C does; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=40)


def start_box(home: Path, *arguments: str) -> WholeBox:
    """Start a demo box and wait until its portal answers."""
    portal, broker, sockets, mailbox = free_ports(4)
    ports = {
        "TRUSTKEEP_PORTAL_PORT": portal,
        "TRUSTKEEP_BROKER_PORT": broker,
        "TRUSTKEEP_WEBSOCKET_PORT": sockets,
        "TRUSTKEEP_SMTP_PORT": mailbox,
    }
    environment = {**os.environ, "TRUSTKEEP_HOME": str(home), **{name: str(port) for name, port in ports.items()}}
    home.mkdir(parents=True, exist_ok=True)
    output = home.parent / f"{home.name}.log"
    with output.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", *arguments], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    box = WholeBox(home, portal, process, output)
    wait_for("the portal", lambda: box.process.poll() is not None or box.answers())
    assert process.poll() is None, box.said()
    return box
