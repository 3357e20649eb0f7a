"""Plays a recorded school day as if it happened now: its text, its windows, and a recorded screen for each step.

One JSON object a line:

    {"after_seconds": 4.5, "account": "mia.hartley", "application": "Chat", "window_title": "Year 9",
     "address": "https://chat.larkfield.example/y9", "typed": "text typed in one go", "screen": "screens/0001.webp",
     "context": ["lines typed earlier"]}

``after_seconds`` is the gap since the step before at speed 1. ``screen`` is a WebP file, its path relative to the day
file, or null. ``context`` may be left out, as may ``role`` (default "text") and ``protected`` (true, false or null;
default false), which the real sensors report for every control.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.sensors.ports import TextEvent

_TEXTS = ("account", "application", "window_title", "address", "typed")
_OPTIONAL = {"context", "role", "protected"}


class DayError(ValueError):
    """A day file that can't be played. The message names the line and the fault, and nothing that was typed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a day. after_seconds: at speed 1. screen: the file to show while the text is typed."""

    after_seconds: float
    account: str
    application: str
    window_title: str
    address: str
    typed: str
    screen: Path | None
    context: tuple[str, ...] = ()
    role: str = "text"
    protected: bool | None = False


class ReplaySource:
    """A day as TextSource and Screen in one: while a text event is handled, ``grab`` gives the screen of its step.

    wait(seconds) pauses and says whether to go on; now() is the time that the events carry.
    """

    def __init__(
        self,
        steps: tuple[Step, ...],
        *,
        speed: float,
        loop: bool,
        wait: Callable[[float], bool],
        now: Callable[[], datetime],
    ) -> None:
        if speed <= 0:
            raise ValueError("the speed must be above 0")
        self._steps = steps
        self._speed = speed
        self._loop = loop
        self._wait = wait
        self._now = now
        self._screen: Path | None = None

    def events(self) -> Iterator[TextEvent]:
        """The day's text events, each after its pause; again from the start where it loops."""
        while True:
            for step in self._steps:
                if not self._wait(step.after_seconds / self._speed):
                    return
                self._screen = step.screen
                yield TextEvent(
                    account=step.account,
                    application=step.application,
                    window_title=step.window_title,
                    address=step.address,
                    role=step.role,
                    protected=step.protected,
                    text=step.typed,
                    at=self._now(),
                    earlier=step.context,
                )
            # a day without a pause in it would spin for ever
            if not self._loop or sum(step.after_seconds for step in self._steps) <= 0:
                return

    def grab(self) -> bytes | None:
        """The recorded screen of the present step."""
        return None if self._screen is None else self._screen.read_bytes()


def read_day(path: Path) -> tuple[Step, ...]:
    """The steps of the day file at ``path``, every one checked, its screen's file too. Raises DayError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DayError(f"the day file can't be read ({type(error).__name__})") from error
    steps = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                steps.append(_read_step(json.loads(line), path.parent))
            except ValueError as error:
                what = "not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
                raise DayError(f"line {number}: {what}") from error
    if not steps:
        raise DayError("the day file has no step")
    return tuple(steps)


def _read_step(fields: Any, folder: Path) -> Step:
    if not isinstance(fields, dict):
        raise ValueError("must be an object")
    # "expect" says what a careful reader would make of the step; it is for whoever checks the box, not for the agent
    unknown = fields.keys() - {"after_seconds", "screen", "expect", *_TEXTS, *_OPTIONAL}
    if unknown:
        raise ValueError(f"unknown field {sorted(unknown)[0]!r}")
    after = fields.get("after_seconds")
    if isinstance(after, bool) or not isinstance(after, (int, float)) or not 0 <= after < 1e6:
        raise ValueError("after_seconds must be a number of seconds, 0 or more")
    for name in _TEXTS:
        if not isinstance(fields.get(name), str):
            raise ValueError(f"{name} must be text")
    context = fields.get("context") or []
    if not isinstance(context, list) or not all(isinstance(line, str) for line in context):
        raise ValueError("context must be a list of texts")
    if fields.get("protected", False) not in (True, False, None):
        raise ValueError("protected must be true, false or null")
    return Step(
        after_seconds=float(after),
        **{name: fields[name] for name in _TEXTS},
        screen=_find_screen(fields.get("screen"), folder),
        context=tuple(context),
        role=str(fields.get("role", "text")),
        protected=fields.get("protected", False),
    )


def _find_screen(name: Any, folder: Path) -> Path | None:
    if name is None:
        return None
    if not isinstance(name, str) or Path(name).is_absolute():
        raise ValueError("screen must be a path relative to the day file, or null")
    path = folder / name
    if not path.is_file():
        raise ValueError(f"there is no screen file {name}")
    return path
