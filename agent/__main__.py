"""The agent's command line: run, enrol, request (a certificate), status. Prints one plain line for each thing that
happens.
"""

import argparse
import os
import random
import signal
import socket
import sqlite3
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent import __version__
from agent.config import Config, ConfigError, load_config
from agent.enrolment import EnrolmentError, make_key_and_request
from agent.observer import Device, Observer
from agent.orders import Orders
from agent.outbox import Limits, Outbox
from agent.outbox_file import FILE_NAME, FolderInUseError, hold_folder, set_aside_damaged
from agent.policy import monitored_now
from agent.policy_store import PolicyRefusedError, PolicyStore, open_store
from agent.publisher import Edges, Pace, Publisher
from agent.renewal import Renewal
from agent.sealing import BoxKeyError, load_box_key
from agent.sensors.ports import SensorError
from agent.sensors.replay import DayError, ReplaySource, Step, read_day
from agent.signature import SignatureError, load_policy_key
from agent.standing import Standing

TROUBLES = (
    ConfigError, PolicyRefusedError, SignatureError, BoxKeyError, DayError, EnrolmentError, FolderInUseError,
    SensorError,
)  # fmt: skip

if TYPE_CHECKING:
    from agent.desktop import Desktop


def say(line: str) -> None:
    """Print a line at once. Nothing a pupil typed, and no window's title, is ever part of one."""
    print(line, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    options = _parse(arguments)
    try:
        code: int = options.command(options)
        return code
    except TROUBLES as error:
        print(f"agent: {error}", file=sys.stderr)
        return 2


def run(options: argparse.Namespace) -> int:
    """Watch and send until told to stop. 1 where it ended by itself for a fault."""
    config = load_config(options.config)
    store = open_store(config.data_dir, config.policy, load_policy_key(config.policy_key))
    policy = store.current.policy
    device = Device(config.device_id, load_box_key(config.box_key))
    steps = read_day(options.day) if options.day else ()
    stopping = threading.Event()
    lock = hold_folder(config.data_dir)
    open_outbox = _outbox_opener(config)
    outbox = _open_or_start_anew(config, open_outbox)
    observer = Observer(device, policy, outbox, random_bytes=os.urandom, wake=lambda: publisher.wake(), say=say)
    desktop = _open_desktop(config, observer, store) if options.watch else None
    renewal = Renewal(config.credentials)
    publisher = Publisher(
        config.credentials,
        open_outbox,
        agent_version=__version__,
        edges=Edges(_now, time.monotonic, random.SystemRandom()),
        say=say,
        pace=Pace(heartbeat_every=config.heartbeat_seconds),
        standing=desktop.standing if desktop else lambda: _standing(store, observer),
        orders=Orders(store, renewal, say=say, policy_changed=desktop.policy_changed if desktop else lambda: None),
        renewal=renewal,
    )

    def stop() -> None:
        stopping.set()
        if desktop:
            desktop.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        # from a thread: the handler may run while this thread holds the event's own lock
        signal.signal(number, lambda *_: threading.Thread(target=stop).start())
    failed = threading.Event()
    sender = threading.Thread(target=_send, args=(publisher, stop, failed), name="publisher", daemon=True)
    sender.start()
    say(f"agent {__version__} on {config.device_id}; policy {policy.version}, {len(policy.rules)} rules")
    try:
        if desktop:
            desktop.run()
        else:
            _play(options, steps, observer, store, stopping)
        while options.exit_when_sent and not stopping.is_set():
            if outbox.figures().queue_depth == 0:
                say("everything is sent")
                break
            stopping.wait(0.2)
        else:
            stopping.wait()
        return 1 if failed.is_set() else 0
    finally:
        publisher.stop()
        sender.join(timeout=10)
        say(f"agent stopped; {outbox.figures().queue_depth} waiting")
        outbox.close()
        lock.close()


def _open_desktop(config: Config, observer: Observer, store: PolicyStore) -> "Desktop":
    from agent.desktop import open_desktop  # needs the platform's own libraries, which playing a day doesn't

    return open_desktop(config, observer, store, now=_now, say=say)


def _standing(store: PolicyStore, observer: Observer) -> Standing:
    held, now = store.current, _now()
    return Standing(
        policy_version=held.policy.version,
        policy_number=held.number,
        policy_expired=held.expired(now),
        monitored_now=monitored_now(held.policy, now),
        held_back=observer.held_back,
    )


def _send(publisher: Publisher, stop: Callable[[], None], failed: threading.Event) -> None:
    """Run the publisher; if it fails the agent ends, so that whatever started it can start it again."""
    try:
        publisher.run()
    except BaseException:
        failed.set()
        stop()
        raise


def _play(
    options: argparse.Namespace,
    steps: tuple[Step, ...],
    observer: Observer,
    store: PolicyStore,
    stopping: threading.Event,
) -> None:
    if not steps:
        say("no text source; only sending what waits")
        return
    source = ReplaySource(
        steps,
        speed=options.speed,
        loop=options.loop,
        wait=lambda seconds: not stopping.wait(seconds),
        now=_now,
    )
    number = store.current.number
    for event in source.events():
        if store.current.number != number:
            number = store.current.number
            observer.adopt(store.current.policy)
        if monitored_now(store.current.policy, event.at):
            observer.observe(event, source)
    if not stopping.is_set():
        say("the recorded day is over")


def enrol(options: argparse.Namespace) -> int:
    """Exchange a one-time code for this device's certificate, settings and policy."""
    from agent.enrol import enrol as enrol_device  # its HTTP library would cost a running agent 3 MB

    made = enrol_device(
        options.code, options.box, options.out, options.name, ca=options.ca, fingerprint=options.fingerprint
    )
    say(f"enrolled as {made.device_id}; settings: {made.settings}")
    return 0


def request(options: argparse.Namespace) -> int:
    """Make the device's key and certificate request."""
    made = make_key_and_request(options.out, options.device_id)
    say(f"private key: {made.key} (stays on this device)")
    say(f"certificate request: {made.request} (take it to the box)")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print how the outbox stands."""
    config = load_config(options.config)
    say(f"device: {config.device_id}")
    say(f"agent: {__version__}")
    try:
        held = open_store(config.data_dir, config.policy, load_policy_key(config.policy_key)).current
        expired = "; it has EXPIRED" if held.expired(_now()) else ""
        say(f"policy: {held.number}, {held.policy.version}, {len(held.policy.rules)} rules, for"
            f" {held.policy.academy}{expired}")  # fmt: skip
    except (PolicyRefusedError, SignatureError) as error:
        say(f"policy: not usable ({error})")
    if not (config.data_dir / FILE_NAME).exists():
        say("outbox: none yet")
        return 0
    outbox = _outbox_opener(config)()
    figures = outbox.figures()
    outbox.close()
    say(f"outbox: {figures.queue_epoch}")
    say(f"waiting: {figures.queue_depth} events, {figures.queue_bytes} bytes, oldest {_when(figures.oldest_at)}")
    say(f"made so far: {figures.highest_sequence}; receipted: {figures.receipted}, {figures.kept} of them kept")
    say(f"last receipt: {_when(figures.last_receipt_at)}")
    say(f"dead letters: {figures.dead_letters} (dropped: {figures.dead_letters_dropped})")
    say(f"images dropped for space: {figures.images_dropped}")
    return 0


def _outbox_opener(config: Config) -> Callable[[], Outbox]:
    limits = Limits(bytes_at_most=config.outbox_bytes)
    return lambda: Outbox(config.data_dir, new_epoch=str(uuid.uuid4()), limits=limits)


def _open_or_start_anew(config: Config, open_outbox: Callable[[], Outbox]) -> Outbox:
    try:
        return open_outbox()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        say(f"the outbox is damaged ({error}); it is set aside and a new one begun")
        set_aside_damaged(config.data_dir, _now().strftime("%Y%m%dT%H%M%SZ"))
        return open_outbox()


def _now() -> datetime:
    return datetime.now(UTC)


def _when(seconds: float | None) -> str:
    return "none" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agent", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="run | enrol | request | status")
    runs = commands.add_parser("run", help="watch and send until stopped")
    runs.add_argument("--config", type=Path, required=True, help="the settings file")
    runs.add_argument("--day", type=Path, help="a recorded day (JSON lines) to play as this device's screen")
    runs.add_argument("--watch", action="store_true", help="watch this desktop, for the person signed in")
    runs.add_argument("--speed", type=_speed, default=1.0, help="how many times faster than recorded (default 1)")
    runs.add_argument("--loop", action="store_true", help="play the day again and again")
    runs.add_argument("--exit-when-sent", action="store_true", help="stop once the day is over and all is receipted")
    runs.set_defaults(command=run)
    enrols = commands.add_parser("enrol", help="exchange a code from the portal for this device's settings")
    enrols.add_argument("--code", required=True, help="the one-time code, such as ABCD-EFGH-JKMN")
    enrols.add_argument("--box", required=True, help="https://host or https://host:port")
    trust = enrols.add_mutually_exclusive_group(required=True)
    trust.add_argument("--ca", type=Path, help="the PEM file of the box's authority")
    trust.add_argument("--fingerprint", help="the SHA-256 of the box's authority, as the portal shows it")
    enrols.add_argument("--name", default=socket.gethostname(), help="what this device is called (its host name)")
    enrols.add_argument("--out", type=Path, required=True, help="the folder for the device's files")
    enrols.set_defaults(command=enrol)
    requests = commands.add_parser("request", help="make this device's key and certificate request")
    requests.add_argument("--device-id", required=True)
    requests.add_argument("--out", type=Path, required=True, help="the folder for the two files")
    requests.set_defaults(command=request)
    states = commands.add_parser("status", help="how the outbox stands")
    states.add_argument("--config", type=Path, required=True, help="the settings file")
    states.set_defaults(command=status)
    return parser.parse_args(arguments)


def _speed(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10_000:
        raise argparse.ArgumentTypeError("must be above 0 and at most 10000")
    return value


if __name__ == "__main__":
    sys.exit(main())
