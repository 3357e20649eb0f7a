"""A school day in which everything goes wrong at once, and the count afterwards.

Fifty agents send while mosquitto, ingest, the worker and the agents themselves are killed with SIGKILL, the box's disk
is full for a while, devices' clocks jump, and the network of some is cut. What happens when follows from a seed and
from how far the events have come. In the end every event that any device ever counted must be in the database once,
whole, or be told as missing where it was lost on purpose.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.outbox import Figures, Outbox
from agent.outbox_file import FILE_NAME
from agent.sealing import load_box_key
from appliance.broker import certificates
from appliance.broker.upkeep import write_broker_files
from appliance.store.audit import check_chain
from appliance.store.sequences import select_missing
from tests.broker.running import Program, Site
from tests.chaos.agents import build, image_of, load_spec

BOX_ADDRESS, DEVICE_ADDRESS = "10.213.77.1", "10.213.77.2"
NAMESPACE, NEAR, FAR = "tk-chaos", "tk-chaos0", "tk-chaos1"


@dataclass(frozen=True)
class Weather:
    """How bad it gets. Sizes in bytes, times in seconds. lost: events lost on purpose on each of ``lossy`` devices."""

    seed: int
    devices: int
    processes: int
    events: int
    smallest: int
    largest: int
    a_second: float
    kills: int
    disk_full: float
    network_cut: float
    lossy: int
    lost: int
    deadline: float
    workers: int = 1
    receipt_wait: float = 5.0

    @property
    def total(self) -> int:
        return self.devices * self.events


SHORT = Weather(7, 50, 5, 16, 20_000, 60_000, 1.2, 20, 3.0, 5.0, 3, 2, 110.0)
"""For every run of the tests: all that can happen, in less than a minute."""
FULL = Weather(7, 50, 5, 400, 20_000, 300_000, 1.0, 120, 60.0, 600.0, 5, 3, 4 * 3600.0, 2, 30.0)
"""20,000 events."""


@dataclass
class Count:
    """What came of it."""

    events: int = 0
    stored: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    corrupt: int = 0
    gaps_made: int = 0
    gaps_told: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    restarts: int = 0
    assessed: int = 0
    unfinished: int = 0
    seconds: float = 0.0
    megabytes: float = 0.0
    left_out: list[str] = field(default_factory=list)
    audit_whole: bool = False
    gaps_right: bool = False

    def lines(self) -> list[str]:
        """The figures, a line each."""
        kills = ", ".join(f"{name} {number}" for name, number in sorted(self.kills.items()))
        return [
            f"{self.events} events counted by devices, {self.megabytes:.0f} MB, in {self.seconds:.0f} s",
            f"{self.kills.total()} kills with SIGKILL: {kills}; {self.restarts} ended by themselves and were restarted",
            f"{self.stored} stored, {self.refused} refused with a reason, {self.lost} lost,"
            f" {self.duplicated} duplicated rows, {self.corrupt} not as sent",
            f"{self.gaps_made} events lost on purpose, {self.gaps_told} told as missing",
            f"{self.assessed} assessed, {self.unfinished} in a worker's hands; audit trail"
            f" {'whole' if self.audit_whole else 'BROKEN'}",
            *(f"left out: {reason}" for reason in self.left_out),
        ]


class Storm:
    """The box, the devices and what befalls them."""

    def __init__(self, folder: Path, weather: Weather, say: Callable[[str], None] = lambda line: None) -> None:
        self.weather = weather
        self.count = Count()
        self._say = say
        self._folder = folder
        self._chance = random.Random(weather.seed)
        self._rooms = contextlib.ExitStack()
        self._disk = self._mount_disk()
        self._cable = self._lay_cable()
        self.site = Site(self._disk or folder)
        self._rooms.callback(self.site.close)
        self.site.config = replace(self.site.config, host_name=BOX_ADDRESS if self._cable else "localhost")
        certificates.make_keys(self.site.config, datetime.now(UTC))
        self._clock = folder / "clock"
        self._clock.write_text("0")
        self._devices: list[dict[str, object]] = []
        self._specs = self._make_specs()
        self._gaps = self._lose_on_purpose()

    def close(self) -> None:
        """Take everything down."""
        self._rooms.close()

    # -- what it happens to

    def _mount_disk(self) -> Path | None:
        if os.geteuid() != 0:
            self.count.left_out.append("the full disk: only root can mount a small one")
            return None
        disk = self._folder / "disk"
        disk.mkdir()
        weather = self.weather
        size = int(weather.total * (weather.smallest + weather.largest) / 2 * 1.3) + 400_000_000
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True).returncode:
            self.count.left_out.append("the full disk: mounting is not allowed here")
            return None
        self._rooms.callback(subprocess.run, ["umount", "-l", str(disk)], capture_output=True)
        return disk

    def _lay_cable(self) -> bool:
        """A network of their own for some of the agents, whose cable can be pulled."""
        steps = [
            f"ip netns add {NAMESPACE}",
            f"ip link add {NEAR} type veth peer name {FAR}",
            f"ip link set {FAR} netns {NAMESPACE}",
            f"ip addr add {BOX_ADDRESS}/30 dev {NEAR}",
            f"ip link set {NEAR} up",
            f"ip netns exec {NAMESPACE} ip addr add {DEVICE_ADDRESS}/30 dev {FAR}",
            f"ip netns exec {NAMESPACE} ip link set {FAR} up",
            f"ip netns exec {NAMESPACE} ip link set lo up",
        ]
        ip = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if os.geteuid() != 0 or ip is None:
            self.count.left_out.append("the cut network: needs root and the program ip")
            return False
        self._rooms.callback(self._take_up_cable)
        for step in steps:
            done = subprocess.run(step.split(), capture_output=True, text=True)
            if done.returncode:
                self.count.left_out.append(f"the cut network: {step!r} is not allowed here ({done.stderr.strip()})")
                return False
        return True

    @staticmethod
    def _take_up_cable() -> None:
        subprocess.run(["ip", "link", "del", NEAR], capture_output=True)
        subprocess.run(["ip", "netns", "del", NAMESPACE], capture_output=True)

    def _make_specs(self) -> list[Path]:
        weather, specs = self.weather, []
        for number in range(weather.processes):
            mine = []
            for device in range(number, weather.devices, weather.processes):
                one = self.site.enrol(f"STORM-{device:02}")
                data = self._folder / f"data-{device:02}"
                mine.append(
                    {
                        "id": one.device_id,
                        "host": BOX_ADDRESS if self._is_wired(number) else "localhost",
                        "port": one.port,
                        "ca": str(one.ca),
                        "crt": str(one.certificate),
                        "key": str(one.key),
                        "data": str(data),
                    }
                )
            self._devices += mine
            path = self._folder / f"spec-{number}.json"
            fields = {"devices": mine, "box_key": str(self.site.config.keys / "box.pub"), "events": weather.events}
            fields |= {"smallest": weather.smallest, "largest": weather.largest, "a_second": weather.a_second}
            fields["receipt_wait"] = weather.receipt_wait
            # the clock of one process's devices jumps; the others' is right
            fields["clock"] = str(self._clock if number == 0 else self._folder / "right")
            path.write_text(json.dumps(fields))
            specs.append(path)
        return specs

    def _is_wired(self, process: int) -> bool:
        return self._cable and process in (1, 2)

    def _lose_on_purpose(self) -> dict[str, set[int]]:
        """Have some devices lose events from their disks before they were ever sent."""
        weather, gaps = self.weather, {}
        spec, key = load_spec(self._specs[0]), load_box_key(self.site.config.keys / "box.pub")
        for device in self._chance.sample(self._devices, weather.lossy):
            outbox = Outbox(Path(str(device["data"])), new_epoch=str(uuid.uuid4()))
            now = datetime.now(UTC)
            for _ in range(weather.lost * 3):
                outbox.put(build(spec, str(device["id"]), now, key), now.timestamp())
            outbox.close()
            lost = set(self._chance.sample(range(1, weather.lost * 3 + 1), weather.lost))
            with contextlib.closing(sqlite3.connect(Path(str(device["data"])) / FILE_NAME)) as db, db:
                db.execute("PRAGMA foreign_keys = ON")
                for sequence in lost:
                    db.execute("DELETE FROM event WHERE sequence = ?", (sequence,))
            gaps[str(device["id"])] = lost
            self.count.gaps_made += len(lost)
        return gaps

    # -- what runs

    def _starters(self) -> dict[str, Callable[[], Program]]:
        home = {"TRUSTKEEP_HOME": str(self.site.config.home)}
        mosquitto = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "mosquitto"
        write_broker_files(self.site.config, self.site.box.db, datetime.now(UTC))
        starters: dict[str, Callable[[], Program]] = {
            # on the files as they are, as the supervisor does it: a full disk takes no new ones
            "mosquitto": lambda: self._start(mosquitto, "-c", str(self.site.config.run / "mosquitto.conf")),
            "ingest": lambda: self.site.start_ingest(wait=False),
        }
        for number in range(self.weather.workers):
            command = [sys.executable, "-m", "appliance", "worker", "--number", str(number)]
            starters[f"worker {number}"] = lambda command=command: self._start(*command, **home)  # type: ignore[misc]
        for number, spec in enumerate(self._specs):
            wired = ["ip", "netns", "exec", NAMESPACE] if self._is_wired(number) else []
            command = [*wired, sys.executable, "-m", "tests.chaos.agents", str(spec)]
            starters[f"agents {number}"] = lambda command=command: self._start(*command)  # type: ignore[misc]
        return starters

    def _start(self, *command: str, **environment: str) -> Program:
        program = Program(*command, **environment)
        self.site.started.append(program)
        return program

    # -- the storm

    def run(self) -> Count:
        """Let it rage until every outbox is empty, then count."""
        begun = time.monotonic()
        starters = self._starters()
        running = {name: start() for name, start in starters.items()}
        happenings = self._plan(list(starters))
        pause, told = min(0.5, self.weather.deadline / 1000), 0.0
        undo: list[tuple[float, Callable[[], None]]] = []
        while True:
            here = self._arrived()
            while happenings and here >= happenings[0][0]:
                _, what = happenings.pop(0)
                if what in starters:
                    running[what].kill()
                    self.count.kills[what.split()[0]] += 1
                    running[what] = starters[what]()
                else:
                    undo.append(self._happen(what))
            for end, back in [one for one in undo if time.monotonic() >= one[0]]:
                undo.remove((end, back))
                back()
            for name, program in running.items():
                if program.process.poll() is not None:  # of itself, as for want of room: the supervisor's part
                    self.count.restarts += 1
                    running[name] = starters[name]()
            if not happenings and not undo and self._all_sent():
                break
            assert time.monotonic() - begun < self.weather.deadline, f"not over in time: {here} of {self.weather.total}"
            if time.monotonic() - told > 20:
                told = time.monotonic()
                self._say(f"{told - begun:.0f} s: {here} of {self.weather.total} events have come")
            time.sleep(pause)  # between two looks; what has come decides, not this
        self.count.seconds = time.monotonic() - begun
        self._stop(running)
        self._check()
        return self.count

    def _plan(self, victims: list[str]) -> list[tuple[int, str]]:
        """What happens once so many events have come. Each program is killed about as often as any other."""
        chance, total = self._chance, self.weather.total
        kills = [victims[number % len(victims)] for number in range(self.weather.kills)]
        plan = [(chance.randrange(total // 50, total - total // 20), name) for name in kills]
        plan += [(total * 15 // 100, "clock ahead"), (total * 60 // 100, "clock behind")]
        if self._disk:
            plan.append((total * 30 // 100, "disk full"))
        if self._cable:
            plan.append((total * 40 // 100, "network cut"))
        return sorted(plan)

    def _happen(self, what: str) -> tuple[float, Callable[[], None]]:
        self._say(f"{what}, after {self._arrived()} events")
        now, weather = time.monotonic(), self.weather
        if what == "disk full":
            assert self._disk is not None
            ballast = self._disk / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 20))
            with contextlib.suppress(OSError), ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(256))
            return now + weather.disk_full, ballast.unlink
        if what == "network cut":
            subprocess.run(["ip", "link", "set", NEAR, "down"], check=True)
            return now + weather.network_cut, self._mend_cable
        self._clock.write_text(str(3 * 3600 if what == "clock ahead" else -26 * 3600))
        return now + weather.disk_full, self._set_clock_right

    @staticmethod
    def _mend_cable() -> None:
        subprocess.run(["ip", "link", "set", NEAR, "up"], check=True)

    def _set_clock_right(self) -> None:
        self._clock.write_text("0")

    def _arrived(self) -> int:
        with contextlib.suppress(sqlite3.Error):  # while the disk is full even reading may fail
            return self.site.count("event") + self.site.count("rejected_message")
        return 0

    def _all_sent(self) -> bool:
        if self._arrived() < self.weather.total - self.count.gaps_made:
            return False
        return all(one.highest_sequence >= self.weather.events and not one.queue_depth for _, one in self._figures())

    def _figures(self) -> Iterator[tuple[str, Figures]]:
        for device in self._devices:
            outbox = Outbox(Path(str(device["data"])), new_epoch=str(uuid.uuid4()))
            try:
                yield str(device["id"]), outbox.figures()
            finally:
                outbox.close()

    def _stop(self, running: dict[str, Program]) -> None:
        for name, program in running.items():
            if name.startswith("agents"):
                program.kill()
        for name in ("ingest", *(name for name in running if name.startswith("worker"))):
            assert running[name].stop() == 0, running[name].lines[-5:]

    # -- the count

    def _check(self) -> None:
        db, count = self.site.box.db, self.count
        for device_id, figures in self._figures():
            highest = figures.highest_sequence
            count.events += highest
            rows = db.conn.execute(
                "SELECT e.sequence, c.sha256, c.size FROM event e LEFT JOIN capture c ON c.event_id = e.id"
                " WHERE device_id = ?",
                [device_id],
            ).fetchall()
            refused = {
                row[0]
                for row in db.conn.execute("SELECT sequence FROM rejected_message WHERE device_id = ?", [device_id])
            }
            here = Counter(row[0] for row in rows)
            count.stored += len(here)
            count.refused += len(refused - here.keys())
            count.duplicated += here.total() - len(here)
            never = set(range(1, highest + 1)) - here.keys() - refused
            count.lost += len(never - self._gaps.get(device_id, set()))
            count.corrupt += sum(self._differs(device_id, sequence, sha256) for sequence, sha256, _ in rows)
            count.megabytes += sum(row[2] or 0 for row in rows) / 1e6
        told = select_missing(db, datetime.now(UTC) + timedelta(days=1))
        count.gaps_told = sum(one.count for one in told)
        count.gaps_right = {(one.device_id, one.count, one.first) for one in told} == {
            (device_id, len(lost), min(lost)) for device_id, lost in self._gaps.items()
        }
        count.audit_whole = check_chain(db) is None
        states = dict(db.conn.execute("SELECT state, count(*) FROM event GROUP BY state").fetchall())
        count.unfinished = states.get("assessing", 0)
        count.assessed = sum(states.values()) - count.unfinished - states.get("received", 0)

    def _differs(self, device_id: str, sequence: int, sha256: str | None) -> bool:
        image = image_of(device_id, sequence, self.weather.smallest, self.weather.largest)
        if image is None:
            return sha256 is not None
        right = sha256 == hashlib.sha256(image).hexdigest()
        return not right or self.site.box.vault.open(sha256) != image
