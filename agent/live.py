"""A device with a person at it: what the platform sees goes through the watcher, and the person is told and heard.

One thread, one queue: sensors, dialogues and the publisher only put into it. When nothing happens, nothing runs.
"""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.announcement import Acceptances, Dialogues
from agent.observer import Observer
from agent.policy import monitored_now
from agent.policy_store import PolicyStore
from agent.sensors.ports import Asked, Away, Happening, Indicator, Screen, Sensor
from agent.watcher import Watcher

WAKE_AT_LEAST = timedelta(minutes=15)
NOTICE_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """Another policy is in force."""


@dataclass(frozen=True, slots=True)
class MenuWanted:
    """The person clicked on the sign."""


Item = Happening | PolicyChanged | MenuWanted | None


class Live:
    """``run`` in one thread; ``put`` from any. Nothing is read before the notice has stood on the screen once."""

    def __init__(
        self,
        observer: Observer,
        store: PolicyStore,
        screen: Screen,
        *,
        account: str,
        acceptances: Acceptances,
        dialogues: Dialogues,
        now: Callable[[], datetime],
        say: Callable[[str], None],
    ) -> None:
        self._observer = observer
        self._store = store
        self._account = account
        self._acceptances = acceptances
        self._dialogues = dialogues
        self._now = now
        self._say = say
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._watcher = Watcher(observer, screen, self.monitored)
        self._announced = ""
        self._notice_at: datetime | None = None
        self._shown: bool | None = None
        self._away = False
        self._stopping = threading.Event()
        self._number = store.current.number

    def put(self, item: Item) -> None:
        """Something happened."""
        self._inbox.put(item)

    def stop(self) -> None:
        """End ``run`` soon."""
        self._stopping.set()
        self.put(None)

    def monitored(self, now: datetime) -> bool:
        """Whether anything may be read at ``now``."""
        policy = self._store.current.policy
        announced = policy.notice is None or self._announced == policy.notice.version
        return announced and monitored_now(policy, now)

    def run(self, sensor: Sensor, indicator: Indicator) -> None:
        """Watch until ``stop``. Raises SensorError where the platform can't be watched."""
        self._announce(self._now())
        sensor.start(self.put)
        missing = sensor.permissions_missing()
        self._say(f"watching {sensor.platform}" + (f"; degraded: {', '.join(missing)}" if missing else ""))
        try:
            while not self._stopping.is_set():
                self._show(indicator)
                self._take_next()
        finally:
            sensor.stop()
            self._watcher.handle(Away(self._now()))
            self._dialogues.close()

    def _take_next(self) -> None:
        now = self._now()
        try:
            item = self._inbox.get(timeout=max(0.01, (self._wake_at(now) - now).total_seconds()))
        except queue.Empty:
            item = None
        now = self._now()
        self._watcher.tick(now)
        match item:
            case None:
                self._announce(now)
            case PolicyChanged():
                self._adopt(now)
            case MenuWanted():
                self._dialogues.open("menu", self._store.current.policy, self.monitored(now), self.put)
            case Asked(accepted=str()):
                self._accept(item)
            case _:
                if isinstance(item, Away):
                    self._away = not item.back
                self._watcher.handle(item)

    def _wake_at(self, now: datetime) -> datetime:
        """When something must be looked at although nothing happens: a pause is over, or the hours of the policy."""
        hours = self._store.current.policy.hours
        times = [now + WAKE_AT_LEAST if hours is None else hours.next_change(now), self._watcher.next_tick()]
        if self._notice_at is not None:
            times.append(self._notice_at + NOTICE_AGAIN)
        return min(time for time in times if time is not None)

    def _adopt(self, now: datetime) -> None:
        held = self._store.current
        if held.number != self._number:
            self._number = held.number
            self._observer.adopt(held.policy)
        self._announce(now)

    def _announce(self, now: datetime) -> None:
        """Show the notice until it is accepted; again after a while, should its window have gone."""
        notice = self._store.current.policy.notice
        if notice is None:
            self._notice_at = None
            return
        if self._acceptances.accepted_at(self._account, notice.version) is not None:
            self._announced, self._notice_at = notice.version, None
            return
        if self._notice_at is None or now - self._notice_at >= NOTICE_AGAIN or now < self._notice_at:
            self._notice_at = now
            self._dialogues.open("notice", self._store.current.policy, self.monitored(now), self.put)

    def _accept(self, asked: Asked) -> None:
        notice = self._store.current.policy.notice
        if notice is None or asked.accepted is None:
            return
        if asked.accepted == "":  # it stands on the screen
            self._announced = notice.version
        elif asked.accepted == notice.version:
            self._announced = notice.version
            self._acceptances.record(asked.account, asked.accepted, asked.at)
            self._notice_at = None
            self._say(f"the notice {notice.version} was accepted")

    def _show(self, indicator: Indicator) -> None:
        monitored = self.monitored(self._now()) and not self._away
        if monitored is not self._shown:
            self._shown = monitored
            indicator.show(monitored)
            self._say("monitored now" if monitored else "not monitored now")
