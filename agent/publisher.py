"""Sends what the outbox holds, and deletes only what the box itself says it has stored.

One thread owns everything here. The broker's acknowledgement is not the box's word: a broker that dies after it has
lost up to a quarter of the messages in trials, and one whose subscriber is away acknowledges and drops.
"""

import queue
import random
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agent.connection import (
    PACKET_OVERHEAD,
    Acknowledged,
    Connection,
    Credentials,
    Happening,
    Lost,
    Ready,
    Received,
)
from agent.message import (
    Receipt,
    ReceiptError,
    ReceiptStatus,
    build_heartbeat,
    build_renewal,
    parse_receipt,
)
from agent.orders import Orders
from agent.outbox import Outbox, Waiting
from agent.renewal import Renewal
from agent.standing import Standing, make_heartbeat

NOBODY_LISTENS = 0x10
NOT_AUTHORIZED = 0x87
QUOTA_EXCEEDED = 0x97
HINDRANCES = {
    NOBODY_LISTENS: "the box isn't taking events",
    NOT_AUTHORIZED: "the box doesn't allow this device to send",
    QUOTA_EXCEEDED: "the box has no room",
}
"""Reason codes that would meet every other event too."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast and how patient, in seconds. window: events on their way without a receipt.

    receipt_wait: from the broker's acknowledgement to the next try, doubled at each one up to resend_at_most.
    acknowledge_wait: for the broker's acknowledgement, then the connection counts as dead. hold: while a hindrance
    lasts, doubled up to hold_at_most. reconnect: after a loss any time up to it, doubled up to reconnect_at_most.
    """

    window: int = 20
    receipt_wait: float = 30.0
    resend_at_most: float = 900.0
    acknowledge_wait: float = 120.0
    hold: float = 2.0
    hold_at_most: float = 120.0
    reconnect: float = 30.0
    reconnect_at_most: float = 120.0
    ready_wait: float = 30.0
    heartbeat_every: float = 60.0


@dataclass(slots=True)
class _Flight:
    """An event on its way. give_up_at: monotonic; acknowledged: the broker has it, and the receipt is awaited."""

    mid: int
    give_up_at: float
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class Edges:
    """What only an edge may ask: the time (aware, UTC), a clock that is never set, and chance."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    chance: random.Random


class Publisher:
    """The owner of the connection. ``run`` in a thread of its own; ``wake`` and ``stop`` from any thread.

    standing() is asked at every heartbeat, in the publisher's thread; without it ``policy_version`` is all there is.
    """

    def __init__(
        self,
        credentials: Credentials,
        open_outbox: Callable[[], Outbox],
        *,
        agent_version: str,
        policy_version: str = "",
        edges: Edges,
        say: Callable[[str], None],
        pace: Pace | None = None,
        standing: Callable[[], Standing] | None = None,
        orders: Orders | None = None,
        renewal: Renewal | None = None,
    ) -> None:
        self._credentials = credentials
        self._open_outbox = open_outbox
        self._agent_version = agent_version
        self._standing = standing or (lambda: Standing(policy_version))
        self._renewal = renewal
        self._orders = orders or Orders(None, renewal, say=say)
        self._edges = edges
        self._say = say
        self._pace = pace or Pace()
        self._inbox: queue.SimpleQueue[Happening | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._number = 0
        self._failures = 0
        self._outbox: Outbox
        self._connection: Connection
        self._forget_connection()
        self._last_receipt = -float("inf")
        self._drought = False

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._inbox.put(None)

    def stop(self) -> None:
        """End ``run`` soon. Nothing is lost by it: what waits, waits on disk."""
        self._stopping.set()
        self.wake()

    def run(self) -> None:
        """Connect, send, and connect again, until ``stop``."""
        while not self._stopping.is_set():
            try:
                self._outbox = self._open_outbox()
                try:
                    self._run_connection()
                finally:
                    self._outbox.close()
            except (sqlite3.Error, OSError) as error:
                self._say(f"trouble with the outbox ({type(error).__name__}: {error}); trying again")
                self._failures += 1
            if not self._stopping.is_set():
                self._stopping.wait(self._reconnect_delay())

    # -- a connection, from its beginning to its end

    def _run_connection(self) -> None:
        self._number += 1
        self._forget_connection()
        self._used = self._renewal.credentials() if self._renewal else self._credentials
        self._connection = Connection(self._used, self._number, self._inbox, self._pace.window)
        try:
            self._connection.open()
        except (OSError, ValueError) as error:
            self._lose(f"no connection to the box ({error})")
            return
        try:
            self._serve()
        finally:
            self._connection.close()

    def _forget_connection(self) -> None:
        self._ready = False
        self._over = False
        self._packet_at_most: int | None = None
        self._window = self._pace.window
        self._flights: dict[str, _Flight] = {}
        self._by_mid: dict[int, str] = {}
        self._hold_until = 0.0
        self._holds = 0
        self._beat_at = 0.0
        self._ready_by = self._edges.monotonic() + self._pace.ready_wait

    def _lose(self, reason: str) -> None:
        if not self._over:
            self._over = True
            self._failures += 1
            if self._renewal and not self._ready:
                self._renewal.failed(self._used)
            if not self._stopping.is_set():
                self._say(reason)

    def _reconnect_delay(self) -> float:
        """At random over a growing span: when a box comes back, a whole school does."""
        most = min(self._pace.reconnect_at_most, self._pace.reconnect * 2 ** max(0, min(self._failures, 20) - 1))
        return self._edges.chance.uniform(min(1.0, most / 2), most)

    def _serve(self) -> None:
        while not (self._over or self._stopping.is_set()):
            try:
                happening = self._inbox.get(timeout=self._time_to_wait())
            except queue.Empty:
                happening = None
            while True:  # all that has happened, then one round of sending
                if happening is not None and happening.connection == self._number:
                    self._handle(happening)
                if self._inbox.empty():
                    break
                happening = self._inbox.get()
            self._give_up_waiting()
            if self._ready and not self._over and not self._stopping.is_set():
                self._send_heartbeat()
                self._send_due()

    def _time_to_wait(self) -> float:
        now = self._edges.monotonic()
        if not self._ready:
            return max(0.05, self._ready_by - now)
        times = [self._beat_at, *(flight.give_up_at for flight in self._flights.values())]
        probing = self._holds and self._by_mid
        if len(self._flights) < self._window and not probing:
            due = self._outbox.next_due(self._flights)
            if due is not None:
                times.append(max(now + due - self._edges.now().timestamp(), self._hold_until))
        return min(max(0.05, min(times) - now), self._pace.heartbeat_every)

    # -- what happens

    def _handle(self, happening: Happening) -> None:
        match happening:
            case Ready():
                self._ready = True
                self._failures = 0
                self._packet_at_most = happening.packet_at_most
                if happening.unacknowledged_at_most:
                    self._window = min(self._pace.window, happening.unacknowledged_at_most)
                if self._renewal and self._renewal.connected(self._used):
                    self._say("the renewed certificate is in use")
                self._outbox.make_due()
                self._say(f"connected to the box; {self._outbox.figures().queue_depth} waiting")
            case Lost():
                self._lose(f"connection to the box lost ({happening.reason})")
            case Acknowledged():
                self._handle_acknowledgement(happening)
            case Received(kind="receipt"):
                self._handle_receipt(happening.payload)
            case Received():
                if self._orders.carry_out(happening.kind, happening.payload, self._outbox, self._edges.now()):
                    self._lose("the connection is ended to make it anew")

    def _handle_acknowledgement(self, answer: Acknowledged) -> None:
        message_id = self._by_mid.pop(answer.mid, None)
        if answer.code == 0:
            flight = self._flights.get(message_id) if message_id else None
            if flight:
                flight.acknowledged = True
                flight.give_up_at = self._edges.monotonic() + self._pace.receipt_wait
            if self._holds and message_id:
                self._holds = 0
                self._hold_until = 0.0
                self._outbox.make_due(only_refused=True)
            return
        if message_id is None or self._flights.pop(message_id, None) is None:
            return
        hindrance = HINDRANCES.get(answer.code)
        if hindrance:
            if not self._holds:
                self._say(f"not sent: {hindrance} (code {answer.code})")
            wait = self._hold_on()
        else:
            wait = self._jitter(self._pace.resend_at_most)
            self._say(f"not sent: the broker refused an event (code {answer.code})")
        self._outbox.mark_refused(message_id, self._edges.now().timestamp() + wait)

    def _hold_on(self) -> float:
        """Lengthen the hold; the seconds left of it. A window full of refusals counts as one."""
        now = self._edges.monotonic()
        if now >= self._hold_until:
            longer = min(self._pace.hold * 2 ** min(self._holds, 20), self._pace.hold_at_most)
            self._hold_until = now + self._jitter(longer)
            self._holds += 1
        return self._hold_until - now

    def _handle_receipt(self, payload: bytes) -> None:
        try:
            receipt = parse_receipt(payload)
        except ReceiptError as error:
            self._say(f"receipt ignored: {error}")
            return
        if not self._settle(receipt):
            self._say("receipt ignored: not for an event that waits here, or with another digest")
            return
        flight = self._flights.pop(receipt.message_id, None)
        if flight:
            self._by_mid.pop(flight.mid, None)
        self._last_receipt = self._edges.monotonic()
        if self._drought:  # the box is back: what waited long for its receipt need not wait on
            self._drought = False
            self._outbox.make_due()
        figures = self._outbox.figures()
        rejected = f" ({figures.dead_letters} in dead letters)" if receipt.status is ReceiptStatus.REJECTED else ""
        self._say(f"receipt: {receipt.status}, {figures.queue_depth} waiting{rejected}")

    def _settle(self, receipt: Receipt) -> bool:
        now = self._edges.now().timestamp()
        if receipt.status is ReceiptStatus.REJECTED:
            return self._outbox.reject(receipt.message_id, receipt.sha256, receipt.reason or "", now)
        return self._outbox.remove(receipt.message_id, receipt.sha256, now)

    def _give_up_waiting(self) -> None:
        """Let go of events whose receipt didn't come: each is due again at the time written when it was sent."""
        now = self._edges.monotonic()
        if not self._ready and now >= self._ready_by:
            self._lose("the box doesn't answer")
        for message_id, flight in list(self._flights.items()):
            if flight.give_up_at > now:
                continue
            if not flight.acknowledged:
                self._lose("the box acknowledges nothing; connecting anew")
                return
            del self._flights[message_id]
            if now - self._last_receipt > 2 * self._pace.receipt_wait:
                self._drought = True

    # -- sending

    def _send_due(self) -> None:
        now = self._edges.monotonic()
        room = self._window - len(self._flights)
        if self._holds:  # one event at a time tries whether the hindrance is gone
            room = 0 if now < self._hold_until or self._by_mid else 1
        if room <= 0:
            return
        for waiting in self._outbox.due(self._edges.now().timestamp(), room, self._flights):
            if self._over:
                return
            self._send(waiting)

    def _send(self, waiting: Waiting) -> None:
        with_image = bool(waiting.full_bytes)
        if with_image and not self._fits(waiting.full_bytes):
            self._say(f"event {waiting.sequence} is sent without its image: larger than the box takes")
            with_image = False
        payload = self._outbox.payload(waiting.message_id, with_image=with_image)
        if payload is None:  # its image was dropped since the list was read: the next round sees the text
            return
        now = self._edges.now().timestamp()
        if not self._fits(len(payload)):
            self._say(f"event {waiting.sequence} is held: larger than the box takes even without its image")
            self._outbox.mark_refused(waiting.message_id, now + self._pace.resend_at_most)
            return
        patience = min(self._pace.receipt_wait * 2 ** min(waiting.attempts, 20), self._pace.resend_at_most)
        self._outbox.mark_sent(waiting.message_id, now + self._jitter(patience))
        mid = self._connection.publish_event(waiting.message_id, payload)
        if mid is None:
            self._lose("connection to the box lost while sending")
            return
        self._by_mid[mid] = waiting.message_id
        self._flights[waiting.message_id] = _Flight(mid, self._edges.monotonic() + self._pace.acknowledge_wait)

    def _fits(self, payload_bytes: int) -> bool:
        return self._packet_at_most is None or payload_bytes + PACKET_OVERHEAD <= self._packet_at_most

    def _send_heartbeat(self) -> None:
        if self._edges.monotonic() < self._beat_at:
            return
        self._beat_at = self._edges.monotonic() + self._pace.heartbeat_every
        self._outbox.forget_old(self._edges.now().timestamp())
        figures, standing = self._outbox.figures(), self._standing()
        beat = make_heartbeat(self._credentials.device_id, self._agent_version, figures, standing, self._edges.now())
        self._connection.publish_heartbeat(build_heartbeat(beat))
        self._renew()

    def _renew(self) -> None:
        request = self._renewal.request(self._edges.now()) if self._renewal else None
        if request:
            self._say("asking the box for a new certificate")
            self._connection.publish_renewal(build_renewal(request))

    def _jitter(self, seconds: float) -> float:
        return seconds * self._edges.chance.uniform(0.8, 1.2)
