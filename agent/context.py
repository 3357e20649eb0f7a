"""What was typed in the last minutes, an application at a time. In memory only: it is never written to disk."""

from collections import deque
from datetime import datetime, timedelta

CHARACTERS_AT_MOST = 20_000
"""Kept for one application; the oldest lines go first."""


class RollingContext:
    """The last lines of the person who is signed in. Another person's first line clears everything before it."""

    def __init__(self, minutes: float) -> None:
        self._span = timedelta(minutes=minutes)
        self._account: str | None = None
        self._lines: dict[str, deque[tuple[datetime, str]]] = {}

    def set_minutes(self, minutes: float) -> None:
        """Remember for so long from now on."""
        self._span = timedelta(minutes=minutes)

    def add(self, account: str, application: str, text: str, at: datetime) -> None:
        """Remember ``text``, typed ``at`` that time. Also forgets what has grown too old in any application."""
        self._turn_to(account)
        self._lines.setdefault(application, deque()).append((at, text))
        self._forget(at)

    def before(self, account: str, application: str, at: datetime) -> tuple[str, ...]:
        """The lines typed in this application in the minutes up to ``at``, oldest first."""
        self._turn_to(account)
        self._forget(at)
        return tuple(text for _, text in self._lines.get(application, ()))

    def _turn_to(self, account: str) -> None:
        if account != self._account:
            self._lines.clear()
            self._account = account

    def _forget(self, now: datetime) -> None:
        for application in list(self._lines):
            lines = self._lines[application]
            size = sum(len(text) for _, text in lines)
            # a clock set back leaves lines in the future; they are forgotten too
            while lines and (abs(now - lines[0][0]) > self._span or (size > CHARACTERS_AT_MOST and len(lines) > 1)):
                size -= len(lines.popleft()[1])
            if not lines:
                del self._lines[application]
