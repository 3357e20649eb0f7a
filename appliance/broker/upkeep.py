"""What ingest does beside taking events in, every second or so: tells the broker and the devices what has changed.

Whoever revokes a device, issues a policy or asks for missing events only writes it into the database; here it takes
effect, in the one program that may write the broker's files and speak to devices.
"""

import collections
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from sqlite_utils import Database

from appliance.broker import certificates, mosquitto
from appliance.broker.connection import Connection
from appliance.broker.message import build_resend
from appliance.broker.topics import Kind
from appliance.config import Config
from appliance.safeguarding.device import HELD_FOR, Heartbeat
from appliance.store import devices, enrolment, policies
from appliance.store.connection import transaction
from appliance.workflow.hear import hear_heartbeats

EVERY = timedelta(seconds=1)
DAILY = timedelta(hours=24)
HEARD_LATELY = timedelta(minutes=3)
"""A device heard so lately is taken to be connected: it speaks up every minute."""
POLICIES_AT_ONCE = 100
"""Policies sent in one turn: some 60 kB each, and thousands of devices may wait for theirs."""
SENT_AGAIN_AFTER = timedelta(minutes=5)
"""A device that refuses a policy isn't sent it at every heartbeat."""


def write_broker_files(config: Config, db: Database, now: datetime) -> Path:
    """Write every file of the broker as the database stands; the path of mosquitto.conf. Reload it afterwards."""
    certificates.revoke(config, enrolment.select_revoked_serials(db), now)
    denied, tokens = devices.select_revoked_device_ids(db), enrolment.select_token_hashes(db)
    return mosquitto.write_configuration(config, denied, tokens)


class Upkeep:
    """One turn after another, on ingest's own thread. It remembers only what costs nothing to forget."""

    def __init__(self, config: Config, say: Callable[[str], None]) -> None:
        self._config = config
        self._say = say
        self._heard: dict[str, tuple[Heartbeat, datetime]] = {}
        self._unknown: set[str] = set()
        self._next_at: datetime | None = None
        self._written: int | None = None
        self._renewed_at: datetime | None = None
        self._numbers: dict[str, int] | None = None
        self._to_send: collections.deque[tuple[str, str]] = collections.deque()
        self._sent: dict[str, tuple[int, datetime]] = {}

    def hear(self, beat: Heartbeat, now: datetime) -> None:
        """Take a heartbeat; it is noted with all others at the next turn. One that is lost comes again in a minute."""
        self._heard[beat.device_id] = (beat, now)

    def is_due(self, now: datetime) -> bool:
        """Whether it is time for a turn. A clock that was set back makes it so."""
        return self._next_at is None or now >= self._next_at or self._next_at - now > EVERY

    def turn(self, db: Database, connection: Connection, now: datetime) -> None:
        """Do what is to be done. Raises what the disk or the database raises; the next turn does it then."""
        self._next_at = now + EVERY
        self._tell_broker(db, now)
        self._note_heartbeats(db, now)
        self._find_new_policies(db, now)
        self._send_policies(db, connection, now)
        self._send_commands(db, connection, now)

    def _tell_broker(self, db: Database, now: datetime) -> None:
        number = enrolment.get_broker_change(db)
        changed = number != self._written
        if self._renewed_at is None or now - self._renewed_at >= DAILY or now < self._renewed_at:
            made = certificates.make_keys(self._config, now)
            changed = changed or bool(made)
            self._renewed_at = now
        if not changed:
            return
        write_broker_files(self._config, db, now)
        if (pid := mosquitto.find(self._config)) is None:
            return  # it reads the files when it starts; the next turn makes sure
        mosquitto.reload(pid)
        self._written = number
        with transaction(db):
            devices.set_devices_shut_out(db, now)

    def _note_heartbeats(self, db: Database, now: datetime) -> None:
        if not self._heard:
            return
        heard = list(self._heard.values())
        for device_id in hear_heartbeats(db, heard, now, _new_id):
            if device_id not in self._unknown:
                self._say(f"heartbeat of {device_id}, which is not enrolled")
            self._unknown.add(device_id)
        self._heard.clear()
        if self._numbers is None:
            return
        academies = devices.select_academies_of(db, [beat.device_id for beat, _ in heard])
        for beat, _ in heard:
            academy_id = academies.get(beat.device_id)
            if academy_id is not None and beat.policy_number is not None:
                self._send_later(beat.device_id, academy_id, beat.policy_number, now)

    def _send_later(self, device_id: str, academy_id: str, has: int, now: datetime) -> None:
        number = (self._numbers or {}).get(academy_id, 0)
        sent = self._sent.get(device_id)
        lately = sent is not None and sent[0] == number and now - sent[1] < SENT_AGAIN_AFTER
        if has < number and not lately:
            self._to_send.append((device_id, academy_id))
            self._sent[device_id] = (number, now)

    def _find_new_policies(self, db: Database, now: datetime) -> None:
        numbers = {one.academy_id: one.number for one in policies.select_policies(db).values()}
        before, self._numbers = self._numbers, numbers
        for academy_id, number in numbers.items():
            # at the start nothing is known to be new: each device's next heartbeat says what it has
            if before is not None and number > before.get(academy_id, 0):
                behind = devices.select_devices_behind(db, academy_id, number, now - HEARD_LATELY)
                self._say(f"policy {number} is in force at {academy_id}; {len(behind)} connected devices get it now")
                for device_id in behind:
                    self._send_later(device_id, academy_id, 0, now)

    def _send_policies(self, db: Database, connection: Connection, now: datetime) -> None:
        envelopes: dict[str, bytes] = {}
        for _ in range(min(POLICIES_AT_ONCE, len(self._to_send))):
            device_id, academy_id = self._to_send.popleft()
            if academy_id not in envelopes:
                found = policies.get_policy_envelope(db, academy_id)
                envelopes[academy_id] = found[1].encode() if found else b""
            connection.send(Kind.POLICY, device_id, envelopes[academy_id])

    def _send_commands(self, db: Database, connection: Connection, now: datetime) -> None:
        commands = devices.select_commands_to_send(db, now - HEARD_LATELY, now - HELD_FOR)
        for one in commands:
            connection.send(Kind.COMMAND, one.device_id, build_resend(one.queue_epoch, one.from_sequence))
            self._say(f"{one.device_id} is asked to send again from event {one.from_sequence}")
        if commands:
            with transaction(db):
                devices.set_commands_sent(db, [one.id for one in commands], now)


def _new_id() -> str:
    return str(uuid.uuid4())
