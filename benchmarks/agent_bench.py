"""What the agent costs a pupil's laptop: CPU and memory idle and typing, and microseconds a keystroke.

The whole agent runs on a desktop of its own (Xvfb, openbox, an editor, the accessibility bus), for 60 s each; its
budget is the peer. A keystroke through the watcher with 5,000 phrases stands beside bare pyahocorasick.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ahocorasick  # type: ignore[import-not-found]
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from agent.observer import Device, Observer
from agent.outbox import Outbox
from agent.policy import parse_policy
from agent.sensors.ports import Focused, Inserted, Place
from agent.watcher import Watcher

IDLE_CPU, IDLE_MEGABYTES = 0.1, 40.0
TYPING_CPU, TYPING_MEGABYTES = 1.0, 70.0
SECONDS = float(os.environ.get("TRUSTKEEP_BENCH_SECONDS", "60"))
KEYS_A_SECOND = 8
PHRASES = 5_000
KEYSTROKES = 20_000
_TEXT = (
    "the river runs behind our school and every autumn we measure how deep it is with sticks that have marks on them"
    " my homework for thursday is about volcanoes so i need two pictures and one good sentence about each of them"
)
_WORDS = _TEXT.split()


def measure() -> list[dict[str, Any]]:
    """Rows as `benchmarks.__main__` wants them."""
    return [*_measure_keystrokes(), *_measure_desktop()]


# -- a keystroke


def _make_phrases(chance: random.Random) -> list[str]:
    syllables = [one + vowel for one in "bdfgklmnprstvz" for vowel in "aeiou"]
    words = ["".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(3_000)] + _WORDS
    return [" ".join(chance.choices(words, k=chance.randint(2, 5))) for _ in range(PHRASES)]


def _make_policy(phrases: list[str]) -> dict[str, Any]:
    rules = [{"id": f"r{number}", "category": "none", "phrases": phrases[number::20]} for number in range(20)]
    return {"version": "bench", "academy": "Larkfield Academy", "rules": rules}


def _measure_keystrokes() -> list[dict[str, Any]]:
    chance = random.Random(3)
    phrases = _make_phrases(chance)
    text = ""
    while len(text) < KEYSTROKES:
        text += chance.choice(_WORDS) + (". " if chance.random() < 0.08 else " ")
    text = text[:KEYSTROKES]
    ours = _type_through_watcher(_make_policy(phrases), text)
    automaton = ahocorasick.Automaton()
    for phrase in phrases:
        automaton.add_word(phrase, phrase)
    automaton.make_automaton()
    bare = []
    for end in range(len(text)):
        start = time.perf_counter()
        for _ in automaton.iter(text[max(0, end - 128) : end]):
            pass
        bare.append(time.perf_counter() - start)
    peer = f"pyahocorasick over the last 128 characters, {PHRASES:,} phrases"
    return [
        _row(f"a keystroke, {PHRASES:,} phrases, mean", statistics.mean(ours) * 1e6, "µs", peer,
             statistics.mean(bare) * 1e6),
        _row(f"a keystroke, {PHRASES:,} phrases, 99th of 100", _high(ours) * 1e6, "µs", peer, _high(bare) * 1e6),
    ]  # fmt: skip


def _high(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def _type_through_watcher(policy: dict[str, Any], text: str) -> list[float]:
    class NoScreen:
        def grab(self) -> None:
            return None

    now, times = datetime(2025, 9, 8, tzinfo=UTC), []
    with tempfile.TemporaryDirectory() as folder:
        outbox = Outbox(Path(folder), new_epoch=str(uuid.uuid4()))
        device = Device("bench", X25519PrivateKey.generate().public_key())
        observer = Observer(device, parse_policy(policy), outbox, random_bytes=os.urandom, wake=_nothing, say=_nothing)
        watcher = Watcher(observer, NoScreen(), lambda _: True)
        watcher.handle(Focused(now, Place("mia", "Editor", "w", "Untitled", "c", "text", False)))
        for position, letter in enumerate(text):
            now += timedelta(seconds=1 / KEYS_A_SECOND)
            start = time.perf_counter()
            watcher.tick(now)
            watcher.handle(Inserted(now, "c", position, letter))
            times.append(time.perf_counter() - start)
        outbox.close()
    return times


def _nothing(*_: object) -> None:
    return None


# -- the whole agent


def _measure_desktop() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.agent_bench", folder], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise RuntimeError(f"the desktop couldn't be measured: {done.stderr.strip()[-2000:]}")
    rows = []
    for line in done.stdout.splitlines():
        name, value, unit, peer, peer_value = line.split("|")
        rows.append(_row(name, float(value), unit, peer, float(peer_value)))
    return rows


def _row(name: str, value: float, unit: str, peer: str, peer_value: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value}


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
             for child in (task / "children").read_text().split()] if children.exists() else []  # fmt: skip
    return [pid, *(one for child in found for one in _tree(child))]


def _cpu(pids: list[int]) -> float:
    """Seconds of CPU so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _megabytes(pid: int) -> tuple[float, float]:
    """Resident memory, and that part of it which is this process's own or its share of what is shared (PSS)."""
    fields = {
        line.split(":")[0]: line.split()[1] for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    }
    return int(fields["Rss"]) / 1024, int(fields["Pss"]) / 1024


def _watch_the_clock(pids: list[int], seconds: float, work: Any) -> float:
    """Percent of a core over ``seconds`` in which ``work`` runs."""
    before, start = _cpu(pids), time.monotonic()
    work(seconds)
    pause = threading.Event()
    pause.wait(max(0.0, seconds - (time.monotonic() - start)))
    return 100 * (_cpu(pids) - before) / (time.monotonic() - start)


def main(folder: Path) -> None:
    """Run the agent on a desktop of its own and print a line for each figure. Names divided by bars."""
    from tests.agent.conftest import Authority, Box, BoxKey, Broker, PolicyKey
    from tests.agent.conftest import Device as TestDevice
    from tests.agent.desktop import Desktop
    from tests.agent.test_desktop import Watched

    policy = _make_policy(_make_phrases(random.Random(3)))
    with ExitStack() as ends:  # whatever fails, nothing that was started stays
        desktop = Desktop(folder / "desktop")
        ends.callback(desktop.close)
        (folder / "broker").mkdir()
        broker = Broker(folder / "broker", Authority(folder / "broker"))
        broker.start()
        ends.callback(broker.kill)
        key = BoxKey(X25519PrivateKey.generate())
        box = Box(broker, key)
        ends.callback(box.close)
        device = TestDevice(folder / "device", broker, key)
        watched = Watched(folder / "device", desktop, device, box, PolicyKey(), policy, heartbeat_seconds=60)
        ends.callback(watched.stop)
        watched.start()
        assert watched.agent
        desktop.open("mousepad", "--disable-server")
        desktop.front("Mousepad")
        threading.Event().wait(3)
        pids = _tree(watched.agent.process.pid)
        idle = _watch_the_clock(pids, SECONDS, _nothing)
        rss, _ = _megabytes(pids[0])
        print(f"agent, idle {SECONDS:g} s, CPU of one core|{idle}|%|budget|{IDLE_CPU}")
        print(f"agent, idle, memory without the accessibility process|{rss}|MB|budget|{IDLE_MEGABYTES}")
        delay = str(int(1000 / KEYS_A_SECOND))
        keys = int(SECONDS * KEYS_A_SECOND * 0.9)
        text = " ".join(random.Random(5).choices(_WORDS, k=keys))[:keys]
        typing = _watch_the_clock(pids, SECONDS, lambda _: subprocess.run(
            ["xdotool", "type", "--delay", delay, text], env=desktop.environment, check=True))  # fmt: skip
        both = [_megabytes(pid) for pid in pids]
        print(f"agent, typing {KEYS_A_SECOND} keys/s for {SECONDS:g} s, CPU of one core|{typing}|%|budget|{TYPING_CPU}")
        print(f"agent, typing, memory of everything (resident)|{sum(r for r, _ in both)}|MB|budget|{TYPING_MEGABYTES}")
        print(f"agent, typing, memory of everything (PSS)|{sum(p for _, p in both)}|MB|budget|{TYPING_MEGABYTES}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
