"""The ingest program: takes each message from the broker, has it kept, and only then acknowledges and receipts it.

One thread owns the database and every decision. What can't be kept for now (a full disk, a locked database) is held
and tried again, without an acknowledgement and without a receipt: the device has it still.
"""

import contextlib
import hashlib
import queue
import random
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlite_utils import Database

from appliance.broker.certificates import RequestError, load_box_key, load_secret, sign_request
from appliance.broker.connection import Connection, Lost, Message, Ready
from appliance.broker.files import make_private_folder
from appliance.broker.message import (
    MessageError,
    build_certificate,
    build_receipt,
    parse_event_message,
    parse_heartbeat,
    parse_renewal,
)
from appliance.broker.topics import Kind, parse_topic
from appliance.broker.upkeep import Upkeep
from appliance.config import Config
from appliance.store.captures import CaptureVault
from appliance.store.connection import open_system
from appliance.store.migrations import require_current
from appliance.workflow.enrol import EnrolmentRefusedError, renew_certificate
from appliance.workflow.ingest import BadMessage, Receipt, UnknownDeviceError, ingest_event, keep_rejected_message

FIRST_WAIT = 0.5
"""Seconds before the second try to reach the broker or the disk; doubled at each further one."""
WAIT_AT_MOST = 15.0
ALIVE_EVERY = 5.0
"""Seconds between two signs of life in ``ingest.alive``."""
READY_WAIT = 30.0
"""Seconds a connection may take until it is subscribed."""
MESSAGE_ID_AT_MOST = 100
"""Characters of a message id that are said back to a device, however wrong it is."""

NOT_ENROLLED = "This device is not enrolled at this box."


def run_ingest(config: Config, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Take in what devices report until ``stop`` is set. ``say`` gets a line an event, never what a pupil wrote.

    Raises KeysError or StoreError where the box was not set up, or its database is older than this program.
    """
    make_private_folder(config.run)
    upkeep = Upkeep(config, say)
    keeper = Keeper(config, upkeep, say)
    _Ingest(config, keeper, upkeep, stop, say).run()
    keeper.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device is to be told."""

    kind: Kind
    device_id: str
    payload: bytes


class Keeper:
    """Has one message kept and says what the device is to be told. Opens the database when it is first needed."""

    def __init__(self, config: Config, upkeep: Upkeep, say: Callable[[str], None]) -> None:
        self._config = config
        self._upkeep = upkeep
        self._path = config.database
        self._box_key = load_box_key(config)
        self._vault = CaptureVault(config.captures, load_secret(config, "capture.key"))
        self._say = say
        self._db: Database | None = None
        try:
            self.store()
        except Exception as error:
            if not may_pass(error):
                raise
            say(f"the database can't be opened now ({_plain(error)}); trying again with the first message")

    def keep(self, message: Message, now: datetime) -> Answer | None:
        """Keep what a message brought, on the disk when this returns (a heartbeat: soon after). What to answer."""
        parsed = parse_topic(message.topic)
        if parsed is None:
            self._say("a message on a topic of no device was dropped")
            return None
        kind, device_id = parsed
        if kind is Kind.HEARTBEAT:
            self._hear(device_id, message, now)
            return None
        if kind is Kind.RENEW:
            return self._renew(device_id, message, now)
        status, reason = self._keep_event(device_id, message, now)
        if status is Receipt.STORED:
            self._say(f"event received from {device_id}, {max(1, round(len(message.payload) / 1000))} kB")
        elif status is Receipt.DUPLICATE:
            self._say(f"event received again from {device_id}, kept already")
        else:
            self._say(f"event from {device_id} refused: {reason}")
        if not message.message_id or len(message.message_id) > MESSAGE_ID_AT_MOST:
            return None
        receipt = build_receipt(message.message_id, _digest(message), status, reason)
        return Answer(Kind.RECEIPT, device_id, receipt)

    def _keep_event(self, device_id: str, message: Message, now: datetime) -> tuple[Receipt, str | None]:
        try:
            try:
                report = parse_event_message(message.topic, message.message_id, message.payload, self._box_key, now)
            except MessageError as error:
                self._keep_rejected(device_id, message, error, now)
                return Receipt.REJECTED, str(error)
            return ingest_event(self.store(), self._vault, report, now, _new_id), None
        except UnknownDeviceError:
            return Receipt.REJECTED, NOT_ENROLLED

    def _keep_rejected(self, device_id: str, message: Message, error: MessageError, now: datetime) -> None:
        message_id = (
            message.message_id if message.message_id and len(message.message_id) <= MESSAGE_ID_AT_MOST else None
        )
        epoch, sequence = error.place or (None, None)
        bad = BadMessage(
            device_id, message_id, message.topic, message.payload, _digest(message), str(error), epoch, sequence
        )
        keep_rejected_message(self.store(), self._vault, bad, now, _new_id)

    def _hear(self, device_id: str, message: Message, now: datetime) -> None:
        try:
            self._upkeep.hear(parse_heartbeat(message.topic, message.payload), now)
        except MessageError as error:
            self._say(f"heartbeat of {device_id} not understood: {error}")

    def _renew(self, device_id: str, message: Message, now: datetime) -> Answer | None:
        config = self._config
        try:
            _, request = parse_renewal(message.topic, message.payload)
            pem = renew_certificate(
                self.store(), device_id, request, lambda csr, name: sign_request(config, csr, name, now), now
            )
        except (MessageError, RequestError, EnrolmentRefusedError) as error:
            self._say(f"certificate of {device_id} not renewed: {error}")
            return None
        except UnknownDeviceError:
            self._say(f"{device_id}, which is not enrolled, asked for a certificate")
            return None
        self._say(f"certificate of {device_id} renewed")
        return Answer(Kind.CERTIFICATE, device_id, build_certificate(pem, (config.keys / "ca.crt").read_bytes()))

    def close(self) -> None:
        """Let go of the database; the next message opens it anew."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def store(self) -> Database:
        """The database, opened where it is not. Raises StoreError or what the disk raises."""
        if self._db is None:
            db = open_system(self._path)
            try:
                require_current(db)
            except BaseException:
                db.close()
                raise
            self._db = db
        return self._db


class _Ingest:
    """The owner thread: the connection when there is one, and patience when there is none."""

    def __init__(
        self, config: Config, keeper: Keeper, upkeep: Upkeep, stop: threading.Event, say: Callable[[str], None]
    ) -> None:
        self._config = config
        self._keeper = keeper
        self._upkeep = upkeep
        self._upkeep_failed = False
        self._stop = stop
        self._say = say
        self._alive = config.run / "ingest.alive"
        self._alive_at = float("-inf")
        self._chance = random.SystemRandom()

    def run(self) -> None:
        """Connect, take in, and connect again, until told to stop."""
        failures = 0
        while not self._stop.is_set():
            was_ready, reason = self._run_connection()
            if self._stop.is_set():
                return
            failures = 1 if was_ready else failures + 1
            if failures == 1:
                self._say(f"no connection to the broker ({reason}); trying again")
            self._pause(failures)

    def _run_connection(self) -> tuple[bool, str]:
        """One connection from beginning to end: whether it was ever ready, and why it ended."""
        connection = Connection(self._config)
        try:
            connection.open()
        except (OSError, ValueError) as error:
            return False, _plain(error)
        try:
            return self._serve(connection)
        finally:
            connection.close()

    def _serve(self, connection: Connection) -> tuple[bool, str]:
        ready, ready_by = False, time.monotonic() + READY_WAIT
        while not self._stop.is_set():
            self._show_alive()
            if ready:
                self._do_upkeep(connection)
            if not ready and time.monotonic() > ready_by:
                return ready, "the broker does not answer"
            try:
                happening = connection.inbox.get(timeout=0.5)
            except queue.Empty:
                if not connection.is_running():
                    return ready, "it ended by itself"
                continue
            match happening:
                case Ready():
                    ready = True
                    self._say("connected to the broker")
                case Lost():
                    return ready, happening.reason
                case Message():
                    self._handle(connection, happening)
        return ready, ""

    def _handle(self, connection: Connection, message: Message) -> None:
        """Have one message kept, trying as long as it takes; then acknowledge it and send its receipt."""
        failures = 0
        while not self._stop.is_set():
            try:
                answer = self._keeper.keep(message, datetime.now(UTC))
            except Exception as error:
                if not may_pass(error):
                    # a fault of this program must not hold up every other message; the device keeps this one
                    self._say(f"a message failed in the box itself ({type(error).__name__}); the device holds it")
                    connection.acknowledge(message)
                    return
                failures += 1
                if failures == 1:
                    self._say(f"can't keep what devices send ({_plain(error)}); they hold it, trying again")
                self._keeper.close()
                self._pause(failures)
                continue
            if failures:
                self._say("keeping what devices send again")
            connection.acknowledge(message)
            if answer is not None:
                connection.send(answer.kind, answer.device_id, answer.payload)
            return

    def _do_upkeep(self, connection: Connection) -> None:
        """Take a turn at what is to be done beside. Whatever fails of it is done at a later turn."""
        now = datetime.now(UTC)
        if not self._upkeep.is_due(now):
            return
        try:
            self._upkeep.turn(self._keeper.store(), connection, now)
        except Exception as error:
            if not self._upkeep_failed:
                self._say(f"can't tell broker and devices what changed ({_kind(error)}); trying again")
            self._upkeep_failed = True
            if may_pass(error):
                self._keeper.close()
        else:
            self._upkeep_failed = False

    def _pause(self, failures: int) -> None:
        longest = min(WAIT_AT_MOST, FIRST_WAIT * 2 ** min(failures - 1, 20))
        until = time.monotonic() + self._chance.uniform(longest / 2, longest)
        while (left := until - time.monotonic()) > 0 and not self._stop.wait(min(left, ALIVE_EVERY)):
            self._show_alive()

    def _show_alive(self) -> None:
        if time.monotonic() - self._alive_at >= ALIVE_EVERY:
            self._alive_at = time.monotonic()
            with contextlib.suppress(OSError):  # a full disk is said elsewhere
                self._alive.touch(mode=0o600)


def may_pass(error: Exception) -> bool:
    """Whether it is the state of the disk or the database, which will change, and not a fault with one message."""
    # the database's class by its name: only the store knows which database it is
    return isinstance(error, OSError) or type(error).__name__ == "OperationalError"


def _kind(error: Exception) -> str:
    return _plain(error) if may_pass(error) else f"{type(error).__name__}: {error}"


def _plain(error: Exception) -> str:
    return str((isinstance(error, OSError) and error.strerror) or error)


def _digest(message: Message) -> str:
    return hashlib.sha256(message.payload).hexdigest()


def _new_id() -> str:
    return str(uuid.uuid4())
