"""A desktop of its own for a test: an X server without a screen, a window manager, and an accessibility bus."""

import contextlib
import getpass
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.sensors.ports import Happening
from tests.agent.conftest import DEADLINE, wait_until

LAUNCHER = "/usr/libexec/at-spi-bus-launcher"
ACCOUNT = getpass.getuser()


class Desktop:
    """Programs run on it with ``open``; ``keys`` and ``type`` are a person's hands."""

    def __init__(self, folder: Path, size: str = "1280x800") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._started: list[subprocess.Popen[bytes]] = []
        read, write = os.pipe()
        server = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-nolisten", "tcp", "-noreset"]
        self._start(server, os.environ, pass_fds=(write,))
        os.close(write)
        with os.fdopen(read) as pipe:
            number = pipe.readline().strip()
        assert number, "Xvfb did not start"
        # away from a system login manager and any real session; a bus address of its own
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
            "DISPLAY": f":{number}",
            "LANG": "C.UTF-8",
            "GTK_MODULES": "gail:atk-bridge",
            "GSETTINGS_BACKEND": "memory",
            "NO_AT_BRIDGE": "0",
        }
        self.environment["DBUS_SESSION_BUS_ADDRESS"] = self._start_bus()
        self._start([LAUNCHER, "--launch-immediately"], self.environment)
        self._start(["openbox", "--sm-disable"], self.environment)
        wait_until(lambda: self._has_manager(), "openbox")

    def _start(self, command: list[str], environment: object, **named: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            env=dict(environment),  # type: ignore[call-overload]
            stdin=subprocess.DEVNULL,
            stdout=named.pop("stdout", subprocess.DEVNULL),
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **named,
        )
        self._started.append(process)
        return process

    def _start_bus(self) -> str:
        bus = self._start(
            ["dbus-daemon", "--session", "--nofork", "--print-address"], self.environment, stdout=subprocess.PIPE
        )
        assert bus.stdout
        return bus.stdout.readline().decode().strip()

    def _has_manager(self) -> bool:
        found = subprocess.run(
            ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"], env=self.environment, capture_output=True, check=False
        )
        return b"window id" in found.stdout

    def open(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a program on this desktop."""
        return self._start(list(command), {**self.environment, **environment})

    def run(self, *command: str) -> str:
        """Run a program to its end; what it printed."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        return done.stdout

    def front(self, title: str) -> None:
        """Bring a window to the front as soon as it is there, and wait until it is."""
        wait_until(lambda: self.run("xdotool", "search", "--onlyvisible", "--name", title).split(), f"window {title!r}")
        number = self.run("xdotool", "search", "--onlyvisible", "--name", title).split()[-1]
        self.run("xdotool", "windowactivate", "--sync", number)

    def type(self, text: str) -> None:
        """Type, key by key."""
        self.run("xdotool", "type", "--delay", "12", text)

    def keys(self, *names: str) -> None:
        """Press keys or chords, named as xdotool does: "ctrl+v", "ISO_Level3_Shift+q"."""
        self.run("xdotool", "key", "--delay", "15", *names)

    def close(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
        for process in reversed(self._started):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()


@contextlib.contextmanager
def on_desktop(desktop: Desktop) -> Iterator[None]:
    """This process as a program on the desktop: its X connections and the processes it starts are there."""
    names = ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "DBUS_SYSTEM_BUS_ADDRESS", "LANG", "LC_ALL")
    before = {name: os.environ.get(name) for name in names}
    for name in names:
        os.environ.pop(name, None)
    os.environ.update({name: desktop.environment[name] for name in names if name in desktop.environment})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class Seen:
    """What a sensor puts, and waiting for it."""

    def __init__(self) -> None:
        self.all: list[Happening] = []
        self._new: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def put(self, happening: Happening) -> None:
        with self._lock:
            self.all.append(happening)

    def wait_for(self, condition: Callable[[Happening], object], what: str) -> Happening:
        wait_until(lambda: any(condition(one) for one in list(self.all)), what)
        return next(one for one in self.all if condition(one))
