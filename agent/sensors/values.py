"""A sensor for platforms whose accessibility tells "the text of this control has changed" and hands over all of it.

Windows and macOS are of this kind. What is theirs alone (`Controls`) stays thin; what may be read is decided here, and
the text of a control that is or may be protected is never asked for.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.protection import is_protected
from agent.sensors.ports import Away, Deleted, Focused, Happening, Inserted, Place, WindowGone

TEXT_AT_MOST = 200_000
"""Characters of a control that are compared; of a longer one nothing is read, for its every key would cost too much."""
PROTECTED_AT_MOST = 500
BEFORE = 80


@dataclass(frozen=True, slots=True)
class Control:
    """What a platform says of the control with the focus. role: in AT-SPI's words, "" where the platform has none.

    password: the platform's own word on it, None where it gave none. words: all that the control says of itself.
    """

    application: str
    window: str
    window_title: str
    control: str
    role: str
    password: bool | None
    words: str


class Controls(Protocol):
    """A platform's accessibility. The three callbacks may be called from any thread."""

    def start(
        self,
        focused: Callable[[Control | None], None],
        changed: Callable[[str], None],
        away: Callable[[bool], None],
        closed: Callable[[str], None],
    ) -> None:
        """Begin. focused(None): nothing is known; changed(control); away(True): locked; closed(window).

        Raises SensorError where the platform can't be watched at all.
        """
        ...

    def stop(self) -> None: ...

    def text_of(self, control: str) -> str | None:
        """All the text of a control; None where it has none, or doesn't answer in time."""
        ...

    def missing(self) -> tuple[str, ...]:
        """Short ids of permissions that are missing."""
        ...


class ValueSensor:
    """A Sensor over a platform's ``Controls``."""

    def __init__(self, platform: str, controls: Controls, account: str, now: Callable[[], datetime]) -> None:
        self.platform = platform
        self._controls = controls
        self._account = account
        self._now = now
        self._lock = threading.Lock()
        self._put: Callable[[Happening], None] | None = None
        self._place: Place | None = None
        self._text: str | None = None
        self._protected: OrderedDict[tuple[str, str], None] = OrderedDict()

    def start(self, put: Callable[[Happening], None]) -> None:
        """Begin to watch. Raises SensorError."""
        self._put = put
        self._controls.start(self._focused, self._changed, self._away, self._closed)

    def stop(self) -> None:
        """Stop watching."""
        with self._lock:
            self._put = None
        self._controls.stop()

    def permissions_missing(self) -> tuple[str, ...]:
        """As the platform says."""
        return self._controls.missing()

    def _hand_over(self, happening: Happening) -> None:
        if self._put is not None:
            self._put(happening)

    def _focused(self, control: Control | None) -> None:
        with self._lock:
            at = self._now()
            if control is None:
                place = Place(self._account, "", "", "", "", "unknown", None)
            else:
                place = Place(
                    self._account,
                    control.application,
                    control.window,
                    control.window_title,
                    control.control,
                    control.role or "unknown",
                    self._judge(control),
                )
            if place == self._place:
                return
            same = self._place is not None and place.control == self._place.control
            self._place = place
            if not same or place.protected is not False:
                self._text = self._controls.text_of(place.control) if place.protected is False else None
            self._hand_over(Focused(at, place))

    def _judge(self, control: Control) -> bool | None:
        key = (control.window, control.control)
        if key in self._protected:
            return True
        protected = True if control.password else is_protected(control.role, control.words, control.application)
        if protected is True:
            self._protected[key] = None
            if len(self._protected) > PROTECTED_AT_MOST:
                self._protected.popitem(last=False)
        # without the platform's own word on it nobody knows
        return None if protected is False and control.password is None else protected

    def _changed(self, control: str) -> None:
        with self._lock:
            place = self._place
            if place is None or place.control != control or place.protected is not False:
                return
            text = self._controls.text_of(control)
            if text is None or len(text) > TEXT_AT_MOST:
                self._text = None
                return
            before, self._text = self._text, text
            if before is None:  # nothing to compare it with: what stands there wasn't typed just now
                return
            for happening in compare(control, before, text, self._now()):
                self._hand_over(happening)

    def _away(self, away: bool) -> None:
        with self._lock:
            self._hand_over(Away(self._now(), back=not away))
            if not away and self._place is not None:
                self._hand_over(Focused(self._now(), self._place))

    def _closed(self, window: str) -> None:
        with self._lock:
            for key in [key for key in self._protected if key[0] == window]:
                del self._protected[key]
            self._hand_over(WindowGone(self._now(), window))


def compare(control: str, before: str, after: str, at: datetime) -> list[Deleted | Inserted]:
    """What was done to make ``after`` of ``before``: at most one stretch went, and at most one came in its place."""
    front = 0
    most = min(len(before), len(after))
    while front < most and before[front] == after[front]:
        front += 1
    back = 0
    while back < most - front and before[-1 - back] == after[-1 - back]:
        back += 1
    gone, come = len(before) - front - back, after[front : len(after) - back]
    done: list[Deleted | Inserted] = []
    if gone:
        done.append(Deleted(at, control, front, gone))
    if come:
        done.append(Inserted(at, control, front, come, after[max(0, front - BEFORE) : front]))
    return done
