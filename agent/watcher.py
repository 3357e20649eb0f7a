"""From what happens at the keyboard to events: when a text is looked at, and when a find is old enough to be told.

A text is looked at when a word ends, and after a pause. A find waits a moment, because the next word may turn it into
something else ("kill myself laughing"); it is told at once when the text is sent, deleted, or left. The picture is
taken at the find, not after the wait. Nothing here reads a clock: ``now`` comes in with what happens and with ``tick``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from PIL import Image

from agent.assembler import TextAssembler
from agent.observer import Observer
from agent.sensors.ports import (
    Asked,
    Away,
    Deleted,
    Focused,
    Happening,
    Inserted,
    Screen,
    Stroke,
    TextEvent,
    WindowGone,
)

PAUSE = timedelta(seconds=1)
"""Without a key for so long, a word counts as ended."""
SETTLE = timedelta(seconds=2)
SETTLE_AT_MOST = timedelta(seconds=8)


@dataclass(slots=True)
class _Find:
    """Something that will be told. image: the screen at the find."""

    event: TextEvent
    trigger: str
    image: Image.Image | bytes | None
    since: datetime
    tell_at: datetime


@dataclass(frozen=True, slots=True)
class _Taken:
    """A Screen that was taken already."""

    image: Image.Image | bytes | None

    def grab(self) -> Image.Image | bytes | None:
        return self.image


class Watcher:
    """Owns the text being written. monitored(now): whether anything may be read now."""

    def __init__(self, observer: Observer, screen: Screen, monitored: Callable[[datetime], bool]) -> None:
        self._observer = observer
        self._screen = screen
        self._monitored = monitored
        self._text = TextAssembler()
        self._find: _Find | None = None
        self._look_at: datetime | None = None
        self._away = False
        self._deleting = False

    def next_tick(self) -> datetime | None:
        """When ``tick`` should be called; None where nothing is waited for."""
        times = [time for time in (self._look_at, self._find.tell_at if self._find else None) if time]
        return min(times, default=None)

    def tick(self, now: datetime) -> None:
        """Time has passed."""
        if self._look_at is not None and now >= self._look_at:
            self._look(now)
        if self._find is not None and now >= self._find.tell_at:
            self._tell()

    def handle(self, happening: Happening) -> None:
        """Take in what happened. What happens while nothing may be read is forgotten at once."""
        now = happening.at
        match happening:
            case Away():
                self._finish(now)
                self._text.leave()
                self._away = not happening.back
            case Asked():
                self._ask_for_help(happening)
            case WindowGone():
                self._text.forget_window(happening)
            case Focused():
                self._move(happening)
            case _ if self._away or not self._monitored(now):
                self._forget()
            case Inserted() | Deleted() | Stroke():
                self._change(happening)

    def _move(self, happening: Focused) -> None:
        before = self._text.place
        same = before is not None and (before.window, before.control) == (
            happening.place.window,
            happening.place.control,
        )
        if not same:
            self._finish(happening.at)
        if self._text.focus(happening):
            self._forget()

    def _change(self, change: Inserted | Deleted | Stroke) -> None:
        if not self._text.readable:
            return
        before = self._text.text
        if isinstance(change, Deleted) and self._look_at is not None and not self._deleting:
            self._look(change.at)  # what is sent or wiped out was there, if only for a moment
        self._deleting = isinstance(change, Deleted)
        if isinstance(change, Stroke) and change.name in ("Return", "Other"):
            self._finish(change.at)
            self._text.clear()
            return
        match change:
            case Inserted():
                self._text.insert(change)
            case Deleted():
                self._text.delete(change)
            case Stroke():
                self._text.press(change)
        self._look_at = change.at + PAUSE
        shorter = isinstance(change, Deleted) or len(self._text.text) < len(before)
        text = "" if isinstance(change, Deleted) else change.text
        if shorter or len(text) > 1 or (text and not text.isalnum()):
            self._look(change.at, written=len(text), shorter=shorter)
        if before and not self._text.text:
            self._remember(before, change.at)

    def _look(self, now: datetime, *, written: int = 1, shorter: bool = False) -> None:
        """Is there a find in what is being written? written: characters of the last change, before the caret."""
        self._look_at = None
        if not self._text.readable:
            return
        event = self._event(self._text.text, now)
        hits = [hit for hit in self._observer.find(event, *self._window(written)) if hit.end > self._text.old]
        if hits:
            trigger = event.text[hits[0].start : hits[0].end]
            if self._find is None:
                self._find = _Find(event, trigger, self._observer.grab(self._screen), now, now + SETTLE)
            elif not shorter:
                self._find.event, self._find.trigger = event, trigger
                self._find.tell_at = min(now + SETTLE, self._find.since + SETTLE_AT_MOST)
        elif self._find is not None:
            if shorter or self._find.trigger not in event.text:
                self._tell()  # it was there, and was deleted or changed
            else:
                self._find = None  # the words after it have made it something else

    def _window(self, written: int) -> tuple[int, int]:
        """The stretch of the text to look at: the change and what stands beside it, in whole words."""
        text, caret, reach = self._text.text, self._text.caret, self._observer.reach
        begin, end = max(0, caret - written - reach), min(len(text), caret + reach)
        while begin > 0 and not text[begin - 1].isspace() and caret - written - begin < 2 * reach:
            begin -= 1
        while end < len(text) and not text[end].isspace() and end - caret < 2 * reach:
            end += 1
        return begin, end

    def _event(self, text: str, now: datetime) -> TextEvent:
        place = self._text.place
        assert place is not None, "only a readable text is looked at"
        return TextEvent(
            account=place.account,
            application=place.application,
            window_title=place.window_title,
            address=place.address,
            role=place.role,
            protected=place.protected,
            text=text,
            at=now,
        )

    def _tell(self) -> None:
        find, self._find = self._find, None
        if find is None:
            return
        self._observer.observe(find.event, _Taken(find.image))
        self._text.drop_front(len(self._text.text))  # told once: what follows is looked at for itself

    def _finish(self, now: datetime) -> None:
        """The text is left or sent: tell what was found, and remember what wasn't told as context."""
        if self._look_at is not None:
            self._look(now)
        if self._find is not None:
            self._tell()
        self._remember(self._text.text[self._text.old :], now)
        self._forget()

    def _remember(self, text: str, now: datetime) -> None:
        """Keep what was written and left as the next event's context."""
        if text.strip() and self._text.readable:
            self._observer.remember(self._event(text, now))

    def _forget(self) -> None:
        self._text.clear()
        self._find = None
        self._look_at = None

    def _ask_for_help(self, asked: Asked) -> None:
        place = self._text.place
        self._observer.report_help(
            account=asked.account,
            words=asked.words,
            application=place.application if place else "",
            screen=self._screen if asked.picture else None,
            at=asked.at,
        )
