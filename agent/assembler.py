"""The text that a person is writing, put together from what happens: typed, pasted, corrected, deleted.

One control at a time, and only its text around the caret: it is forgotten when the focus goes elsewhere, so that the
words of two windows are never joined. A control that once hid what was typed stays protected while its window is there.
"""

from collections import OrderedDict

from agent.sensors.ports import Deleted, Focused, Inserted, Place, Stroke, WindowGone

CHARACTERS_AT_MOST = 4_000
"""Kept of a text; the characters farthest from the caret go first."""
PROTECTED_AT_MOST = 1_000
"""Controls remembered as protected."""


class TextAssembler:
    """The text in the control that has the focus.

    start: where ``text`` begins in the control, None where that isn't known yet. caret: where the last change ended.
    old: how much of the front of ``text`` stood there before this person wrote.
    """

    def __init__(self) -> None:
        self.place: Place | None = None
        self.text = ""
        self.start: int | None = None
        self.caret = 0
        self.old = 0
        self._protected: OrderedDict[tuple[str, str], None] = OrderedDict()

    @property
    def readable(self) -> bool:
        """Whether there is a place, and one that may be read."""
        return self.place is not None and self.place.protected is False

    def clear(self) -> None:
        """Forget the text, and keep the place."""
        self.text, self.start, self.caret, self.old = "", None, 0, 0

    def leave(self) -> None:
        """Forget text and place."""
        self.clear()
        self.place = None

    def focus(self, happening: Focused) -> bool:
        """Go to a place. True where it is another one than before, and the text is forgotten."""
        place = happening.place
        key = (place.window, place.control)
        if place.protected is True:
            self._protected[key] = None
            while len(self._protected) > PROTECTED_AT_MOST:
                self._protected.popitem(last=False)
        elif key in self._protected:
            place = _protect(place)
        before, self.place = self.place, place
        if before is not None and _identity(before) == _identity(place) and before.protected == place.protected:
            return False
        self.clear()
        return True

    def forget_window(self, happening: WindowGone) -> None:
        """A window is gone: the names of its controls may be given to others."""
        for key in [key for key in self._protected if key[0] == happening.window]:
            del self._protected[key]

    def insert(self, happening: Inserted) -> None:
        """Text came in. What comes far from the text that is known begins a new one."""
        place = happening.position
        if not self._takes(happening.control):
            return
        if self.start is None or not self.start <= place <= self.start + len(self.text):
            before = happening.before[-min(place, CHARACTERS_AT_MOST) :] if place else ""
            self.text, self.start, self.old = before, place - len(before), len(before)
        at = place - self.start
        self.text = self.text[:at] + happening.text + self.text[at:]
        self.caret = at + len(happening.text)
        self._trim()

    def delete(self, happening: Deleted) -> None:
        """Characters went. Those outside of what is known only move it."""
        if not self._takes(happening.control) or self.start is None:
            return
        first = happening.position - self.start
        last = first + happening.count
        if first < 0:
            self.start = max(0, self.start - min(happening.count, -first))
        first, last = max(0, first), max(0, last)
        self.text = self.text[:first] + self.text[last:]
        self.caret = min(first, len(self.text))
        self.old = min(self.old, self.caret)

    def press(self, stroke: Stroke) -> None:
        """A key where nothing better is known: the caret is followed as far as it can be."""
        if not self.readable:
            return
        if stroke.text:
            self.text = self.text[: self.caret] + stroke.text + self.text[self.caret :]
            self.caret += len(stroke.text)
            self._trim()
            return
        match stroke.name:
            case "BackSpace":
                self.text = self.text[: max(0, self.caret - 1)] + self.text[self.caret :]
                self.caret = max(0, self.caret - 1)
            case "Delete":
                self.text = self.text[: self.caret] + self.text[self.caret + 1 :]
            case "Left":
                self.caret = max(0, self.caret - 1)
            case "Right":
                self.caret = min(len(self.text), self.caret + 1)
            case "Home":
                self.caret = 0
            case "End":
                self.caret = len(self.text)
            case _:
                self.clear()

    def drop_front(self, count: int) -> None:
        """Forget the first ``count`` characters; what comes next to them goes on from there."""
        self.text = self.text[count:]
        self.start = None if self.start is None else self.start + count
        self.caret = max(0, self.caret - count)
        self.old = max(0, self.old - count)

    def _takes(self, control: str) -> bool:
        """Whether what happens in ``control`` is what is being written; other controls (a chat's window) aren't."""
        return self.readable and self.place is not None and control == self.place.control

    def _trim(self) -> None:
        over = len(self.text) - CHARACTERS_AT_MOST
        if over <= 0:
            return
        if self.caret >= over:  # what stands before the caret is older
            self.drop_front(over)
        else:
            self.text = self.text[:CHARACTERS_AT_MOST]


def _identity(place: Place) -> tuple[str, ...]:
    return place.account, place.application, place.window, place.control


def _protect(place: Place) -> Place:
    return Place(
        place.account,
        place.application,
        place.window,
        place.window_title,
        place.control,
        place.role,
        True,
        place.address,
    )
