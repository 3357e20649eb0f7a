"""Keeping a handful of programs running: started in order, started again when they die, stopped together.

On the shipped box systemd does this; here it is what ``appliance run`` needs on a machine without unit files.
"""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 15.0
_SETTLED_AFTER = 20.0
"""Seconds a program must have run for its next failure to count as the first again."""
_STOP_WITHIN = 10.0
_LINES_KEPT = 10
"""How much of what a quiet program said is shown when it stops by itself."""


@dataclass(slots=True)
class Program:
    """One program: its name, its command, and how many seconds to wait before starting it again."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    quiet: bool = False
    """What it says is shown only when it stops by itself."""


class Supervisor:
    """Runs programs until told to stop. Their lines come out on standard output, one at a time."""

    def __init__(self, programs: Sequence[Program], say: Callable[[str], None]) -> None:
        self._programs = list(programs)
        self._say = say
        self._stopping = threading.Event()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self._print_lock = threading.Lock()

    def pids(self) -> dict[str, int]:
        """The process ids of the programs that run now, by name."""
        with self._lock:
            return {name: process.pid for name, process in self._running.items() if process.poll() is None}

    def stop(self) -> None:
        """Have run() stop everything and return. Safe in a signal handler."""
        self._stopping.set()

    def run(self, started: Callable[[], None] | None = None) -> None:
        """Start every program and keep it running until stop() is called; then stop them in reverse order.

        started: called once in a thread of its own when all have been started.
        """
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, lambda *_: self.stop())
        keepers = [threading.Thread(target=self._keep, args=[program], daemon=True) for program in self._programs]
        for keeper in keepers:
            keeper.start()
        if started is not None:
            threading.Thread(target=started, daemon=True).start()
        self._stopping.wait()
        self._stop_all()
        for keeper in keepers:
            keeper.join(timeout=_STOP_WITHIN)

    def _keep(self, program: Program) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            begun = time.monotonic()
            code = self._run_once(program)
            if self._stopping.is_set():
                return
            wait = _FIRST_WAIT if time.monotonic() - begun > _SETTLED_AFTER else min(wait * 2, _LONGEST_WAIT)
            self._say(f"{program.name} stopped ({_how(code)}); starting it again in {wait:.0f} s")
            self._stopping.wait(wait)

    def _run_once(self, program: Program) -> int:
        try:
            process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **program.environment},
                # a group of its own, so that Ctrl-C in a terminal reaches only this supervisor, which stops in order
                start_new_session=True,
            )
        except OSError as error:
            self._say(f"{program.name} can't be started: {error}")
            return 127
        with self._lock:
            self._running[program.name] = process
        if self._stopping.is_set():
            process.terminate()
        assert process.stdout is not None
        kept: collections.deque[bytes] | None = collections.deque(maxlen=_LINES_KEPT) if program.quiet else None
        reader = threading.Thread(target=self._pass_on, args=[process.stdout, kept], daemon=True)
        reader.start()
        code = process.wait()
        # a killed nginx leaves workers behind that hold its port and its pipe
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        reader.join(timeout=1)
        if kept and not self._stopping.is_set():
            self._show(b"".join(kept))
        return code

    def _pass_on(self, stream: IO[bytes], kept: "collections.deque[bytes] | None") -> None:
        for line in stream:
            if kept is None:
                self._show(line)
            else:
                kept.append(line)

    def _show(self, text: bytes) -> None:
        with self._print_lock:
            sys.stdout.write(text.decode(errors="replace"))
            sys.stdout.flush()

    def _stop_all(self) -> None:
        with self._lock:
            processes = [self._running[program.name] for program in self._programs if program.name in self._running]
        for process in reversed(processes):
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + _STOP_WITHIN
        for process in processes:
            try:
                process.wait(timeout=max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
