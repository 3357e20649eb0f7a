"""Not the same thing over and over: an event for the same rule on the same words is made once in a while, and no more
than so many in a minute. What is held back is counted, and its words stand in the next event's context.
"""

from collections import deque
from datetime import datetime, timedelta

from agent.normalise import plain_words

SAME_WORDS = timedelta(minutes=2)
A_MINUTE_AT_MOST = 12


class RateLimiter:
    """Belongs to the observer. held_back: how often it said no."""

    def __init__(self, same_words: timedelta = SAME_WORDS, a_minute: int = A_MINUTE_AT_MOST) -> None:
        self._same_words = same_words
        self._a_minute = a_minute
        self._seen: dict[tuple[str, str, int], datetime] = {}
        self._times: deque[datetime] = deque()
        self.held_back = 0

    def allows(self, account: str, rule_id: str, text: str, at: datetime) -> bool:
        """Whether an event may be made of ``text`` at ``at``; if so it counts as made."""
        self._forget(at)
        # a number instead of the words: nothing that was typed is kept here
        key = (account, rule_id, hash(plain_words(text)))
        if key in self._seen or len(self._times) >= self._a_minute:
            self.held_back += 1
            return False
        self._seen[key] = at
        self._times.append(at)
        return True

    def _forget(self, now: datetime) -> None:
        # a clock set back makes times lie ahead; they are forgotten too
        self._seen = {key: at for key, at in self._seen.items() if abs(now - at) < self._same_words}
        while self._times and abs(now - self._times[0]) >= timedelta(minutes=1):
            self._times.popleft()
