"""The desktop of this machine, whatever its platform: the parts that fit it, joined and run."""

import getpass
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.announcement import Acceptances, Dialogues
from agent.config import Config
from agent.live import Live, MenuWanted, PolicyChanged
from agent.observer import Observer
from agent.policy_store import PolicyStore
from agent.redactor import RedactedScreen
from agent.sensors.accessibility import SYSTEM_PYTHON
from agent.sensors.ports import Indicator, Sensor, SensorError
from agent.standing import Standing

DIALOGUES = Path(__file__).parent / "sensors" / "dialogues_gtk.py"


class Desktop:
    """What `agent.__main__` runs. ``standing``, ``policy_changed`` and ``stop`` may be called from any thread."""

    def __init__(
        self,
        live: Live,
        sensor: Sensor,
        indicator: Indicator,
        store: PolicyStore,
        observer: Observer,
        acceptances: Acceptances,
        account: str,
        now: Callable[[], datetime],
    ) -> None:
        self._live = live
        self._sensor = sensor
        self._indicator = indicator
        self._store = store
        self._observer = observer
        self._acceptances = acceptances
        self._account = account
        self._now = now

    def run(self) -> None:
        """Watch until ``stop``."""
        try:
            self._live.run(self._sensor, self._indicator)
        finally:
            self._indicator.stop()

    def stop(self) -> None:
        self._live.stop()

    def policy_changed(self) -> None:
        self._live.put(PolicyChanged())

    def standing(self) -> Standing:
        """For the heartbeat."""
        held, now = self._store.current, self._now()
        notice = held.policy.notice
        return Standing(
            policy_version=held.policy.version,
            policy_number=held.number,
            policy_expired=held.expired(now),
            platform=self._sensor.platform,
            permissions_missing=self._sensor.permissions_missing(),
            monitored_now=self._live.monitored(now),
            notice_accepted=self._acceptances.accepted_at(self._account, notice.version) if notice else None,
            held_back=self._observer.held_back,
        )


def open_desktop(
    config: Config, observer: Observer, store: PolicyStore, *, now: Callable[[], datetime], say: Callable[[str], None]
) -> Desktop:
    """The desktop of the person who runs this process. Raises SensorError where there is none to watch."""
    if not sys.platform.startswith("linux"):
        raise SensorError("on this platform the agent is started by its own service: see docs/devices.md")
    from agent.sensors.indicator_x11 import X11Indicator
    from agent.sensors.x11 import X11Screen, X11Sensor

    account = getpass.getuser()
    sensor = X11Sensor(account, config.keystroke_applications)
    indicator = X11Indicator(lambda: live.put(MenuWanted()))
    screen = X11Screen(sensor.accessibility)
    acceptances = Acceptances(config.data_dir)
    live = Live(
        observer,
        store,
        RedactedScreen(screen, screen, lambda: store.current.policy),
        account=account,
        acceptances=acceptances,
        dialogues=Dialogues([SYSTEM_PYTHON, "-I", str(DIALOGUES)], account, now),
        now=now,
        say=say,
    )
    return Desktop(live, sensor, indicator, store, observer, acceptances, account, now)
