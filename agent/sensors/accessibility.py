"""Runs the accessibility process (`agent.sensors.atspi`) and talks to it over its pipes.

The bindings to the accessibility bus belong to the system's Python, not to the agent's: so they live in a process of
their own, which can hang or die with a broken program without taking the agent along.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("atspi.py")
SYSTEM_PYTHON = "/usr/bin/python3"
ANSWER_SECONDS = 3.0
PAUSES = (1.0, 5.0, 30.0, 300.0)
"""Seconds before it is started again after it has ended, the last for every further time."""


class Accessibility:
    """The process and its answers. told(line) is called in a thread of this object; ended() when the process ended."""

    def __init__(self, told: Callable[[dict[str, Any]], None], ended: Callable[[], None]) -> None:
        self._told = told
        self._ended = ended
        self._process: subprocess.Popen[str] | None = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._number = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._answered = threading.Condition()
        self._thread = threading.Thread(target=self._keep_running, name="accessibility", daemon=True)
        self.missing: tuple[str, ...] = ()

    def start(self) -> None:
        """Start the process, and go on starting it."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        self._end_process()
        self._thread.join(timeout=5)

    def wait_ready(self, seconds: float) -> bool:
        """Whether it watches, after at most that long."""
        return self._ready.wait(seconds)

    @property
    def is_ready(self) -> bool:
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def ask(self, what: str, **fields: object) -> dict[str, Any] | None:
        """Its answer; None where none came in time. Not to be called in the thread that runs ``told``."""
        if not self._ready.is_set() or self._process is None or self._process.stdin is None:
            return None
        with self._lock:
            self._number += 1
            number = self._number
            try:
                self._process.stdin.write(json.dumps({"ask": what, "id": number, **fields}) + "\n")
                self._process.stdin.flush()
            except (OSError, ValueError):
                return None
        with self._answered:
            self._answered.wait_for(lambda: number in self._answers or self._stopping.is_set(), ANSWER_SECONDS)
            return self._answers.pop(number, None)

    def _keep_running(self) -> None:
        tries = 0
        while not self._stopping.is_set():
            self._run()
            self._ready.clear()
            if self._stopping.is_set():
                return
            self._ended()
            self._stopping.wait(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    def _run(self) -> None:
        python = SYSTEM_PYTHON if os.path.exists(SYSTEM_PYTHON) else shutil.which("python3") or "python3"
        environment = {**os.environ, "NO_AT_BRIDGE": "1"}  # it looks; it is nothing to be looked at
        try:
            self._process = subprocess.Popen(
                [python, "-I", str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
            )
        except OSError:
            self.missing = ("accessibility",)
            return
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._take(line)
        self._process.wait()
        self.missing = ("accessibility",)

    def _take(self, text: str) -> None:
        try:
            line = json.loads(text)
        except ValueError:
            return
        if "answer" in line:
            with self._answered:
                self._answers = {line["answer"]: line, **dict(list(self._answers.items())[-20:])}
                self._answered.notify_all()
        elif line.get("tell") == "ready":
            self.missing = tuple(line.get("missing", ()))
            self._ready.set()
        else:
            self._told(line)

    def _end_process(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        try:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
