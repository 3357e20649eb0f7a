"""Several agents in one process: real outboxes and publishers, beside a source of events that follows from a seed.

What an event holds follows from its device and its number alone, so whoever checks needs no list of what was sent.
Run: python -m tests.chaos.agents SPEC.json, which is killed and started again at will.
"""

import hashlib
import json
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from agent.capture import Capture
from agent.connection import Credentials
from agent.message import Report, SealedEvent, build_event_message, make_message_id
from agent.outbox import Outbox
from agent.publisher import Edges, Pace, Publisher
from agent.sealing import load_box_key


def make_pace(receipt_wait: float) -> Pace:
    """Quicker than a school's, so that minutes stand for hours. receipt_wait: seconds until an event is sent again;
    too short for a busy machine it would only send everything over and over.
    """
    return Pace(
        receipt_wait=receipt_wait,
        resend_at_most=receipt_wait * 10,
        acknowledge_wait=20,
        hold=0.2,
        hold_at_most=2,
        reconnect=0.3,
        reconnect_at_most=2,
        ready_wait=20,
        heartbeat_every=2,
    )


@dataclass(frozen=True)
class Spec:
    """What one process plays. events: how many each device makes in all; smallest, largest: bytes of an image."""

    devices: tuple[dict[str, Any], ...]
    box_key: Path
    events: int
    smallest: int
    largest: int
    a_second: float
    receipt_wait: float
    clock: Path


def load_spec(path: Path) -> Spec:
    fields = json.loads(path.read_text())
    return Spec(
        tuple(fields["devices"]),
        Path(fields["box_key"]),
        fields["events"],
        fields["smallest"],
        fields["largest"],
        fields["a_second"],
        fields["receipt_wait"],
        Path(fields["clock"]),
    )


def image_of(device_id: str, sequence: int, smallest: int, largest: int) -> bytes | None:
    """The picture of an event (no picture, but bytes of such a size); None for every twentieth."""
    chance = random.Random(f"{device_id} {sequence}")
    if sequence % 20 == 0:
        return None
    return chance.randbytes(chance.randint(smallest, largest))


def build(spec: Spec, device_id: str, now: datetime, key: X25519PublicKey) -> Callable[[int, str], SealedEvent]:
    """What the outbox calls with the number it gives."""

    def made(sequence: int, epoch: str) -> SealedEvent:
        image = image_of(device_id, sequence, spec.smallest, spec.largest)
        capture = Capture(image, "image/webp", hashlib.sha256(image).hexdigest(), 1366, 768) if image else None
        report = Report(now, "robin", "home-fear", "go home", "Chat", "Chat", "", f"i dont want to go home {sequence}")
        return build_event_message(
            report,
            capture,
            message_id=make_message_id(now, os.urandom(10)),
            device_id=device_id,
            sequence=sequence,
            queue_epoch=epoch,
            box_key=key,
        )

    return made


class Clock:
    """The devices' clock: the machine's, and as far off as the file says, which may change at any moment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        try:
            off = float(self._path.read_text() or 0)
        except (OSError, ValueError):
            off = 0.0
        return datetime.now(UTC) + timedelta(seconds=off)


def run_device(spec: Spec, device: dict[str, Any], key: X25519PublicKey) -> None:
    """One agent: make events until there are enough, and send them until killed."""
    credentials = Credentials(
        device["id"], device["host"], device["port"], Path(device["ca"]), Path(device["crt"]), Path(device["key"])
    )
    clock, folder = Clock(spec.clock), Path(device["data"])
    publisher = Publisher(
        credentials,
        lambda: Outbox(folder, new_epoch=str(uuid.uuid4())),
        agent_version="chaos",
        policy_version="1",
        edges=Edges(clock.now, time.monotonic, random.SystemRandom()),
        say=lambda line: None,
        pace=make_pace(spec.receipt_wait),
    )
    threading.Thread(target=publisher.run, daemon=True).start()
    pause = threading.Event()
    outbox = Outbox(folder, new_epoch=str(uuid.uuid4()))
    while outbox.figures().highest_sequence < spec.events:
        at = clock.now()
        outbox.put(build(spec, device["id"], at, key), at.timestamp())
        publisher.wake()
        # in bursts, as events come
        pause.wait(random.expovariate(spec.a_second))
    while True:
        pause.wait(3600)


def main(path: Path) -> None:
    spec = load_spec(path)
    key = load_box_key(spec.box_key)
    threads = [threading.Thread(target=run_device, args=(spec, device, key)) for device in spec.devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
