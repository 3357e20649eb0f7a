"""Joins what the window system knows (which window is in front) with what the accessibility bus knows (which control
has the focus), and decides whether keys may be read where there is only the first. Pure: it is told, and answers.

A window whose controls can't be told is unknown, and unknown counts as protected. Keys are read only in a program on
the device's own list that shows nothing on the accessibility bus, and never in a terminal.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.protection import is_terminal
from agent.sensors.ports import Away, Deleted, Focused, Happening, Inserted, Place, Stroke, WindowGone

KEYSTROKES = "keystrokes"
"""The role of a window in which keys are read, for want of anything better."""
UNKNOWN = "unknown"
OWN = "trustkeep"
"""The agent's own windows: what is written in the form that asks for help is sent by the pupil, or not at all."""


@dataclass(frozen=True, slots=True)
class Front:
    """The window in front. pid: 0 where the window doesn't say."""

    window: str
    application: str
    title: str
    pid: int


class Desk:
    """Where the focus is. Each method gives what has happened, to be put in order to the core."""

    def __init__(self, account: str, keystroke_applications: Iterable[str], knows: Callable[[int], bool]) -> None:
        """knows(pid): whether a program shows itself on the accessibility bus."""
        self._account = account
        self._allowed = frozenset(name.casefold() for name in keystroke_applications)
        self._knows = knows
        self._front: Front | None = None
        self._control: dict[str, Any] | None = None
        self._place: Place | None = None

    def front(self, front: Front | None, at: datetime) -> list[Happening]:
        """Another window is in front, or the one in front has another title; None where there is none."""
        self._front = front
        return self._settle(at)

    def told(self, line: dict[str, Any], at: datetime) -> list[Happening]:
        """A line of the accessibility process (`agent.sensors.atspi` lists them)."""
        match line.get("tell"):
            case "focus":
                self._control = line
                return self._settle(at)
            case "insert" if self._is_here(line):
                return [Inserted(at, line["control"], line["position"], line["text"], line["before"])]
            case "delete" if self._is_here(line):
                return [Deleted(at, line["control"], line["position"], line["count"])]
            case "away":
                return [Away(at)]
            case "back":
                return [Away(at, back=True), *self._settle(at, again=True)]
        return []

    def stroke(self, stroke: Stroke) -> list[Happening]:
        """A key was pressed; it counts only where keys may be read."""
        return [stroke] if self.reads_keys else []

    @property
    def reads_keys(self) -> bool:
        """Whether the window in front is one in which keys are read."""
        return self._place is not None and self._place.role == KEYSTROKES

    def closed(self, window: str, at: datetime) -> list[Happening]:
        """A window is gone."""
        return [WindowGone(at, window)]

    def blind(self, at: datetime) -> list[Happening]:
        """The accessibility process has ended: nothing is known of any control."""
        self._control = None
        return self._settle(at)

    def _is_here(self, line: dict[str, Any]) -> bool:
        return self._place is not None and self._place.control == line["control"]

    def _settle(self, at: datetime, *, again: bool = False) -> list[Happening]:
        place = self._find_place()
        if place is None or (place == self._place and not again):
            return []
        self._place = place
        return [Focused(at, place)]

    def _find_place(self) -> Place | None:
        front, control = self._front, self._control
        if front is None:
            return None if self._place is None else self._unknown(Front("", "", "", 0))
        if front.application.casefold() == OWN:
            return self._unknown(front)
        if control is not None and control["pid"] == front.pid and front.pid:
            return Place(
                self._account,
                front.application,
                front.window,
                front.title,
                control["control"],
                control["role"],
                None if is_terminal(front.application) else control["protected"],
            )
        if self._may_read_keys(front):
            return Place(self._account, front.application, front.window, front.title, front.window, KEYSTROKES, False)
        return self._unknown(front)

    def _may_read_keys(self, front: Front) -> bool:
        """A program that shows its controls tells its password fields apart; keys are read only in one that doesn't."""
        listed = front.application.casefold() in self._allowed and not is_terminal(front.application)
        return listed and front.pid != 0 and not self._knows(front.pid)

    def _unknown(self, front: Front) -> Place:
        return Place(self._account, front.application, front.window, front.title, front.window, UNKNOWN, None)
