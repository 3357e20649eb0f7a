"""Seconds from a device's rule firing to the event waiting in the queue, on a running box with reading and scoring on.

The peer is the same captures read and scored one by one in this process, with no broker, database or queue between.
"""

import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from appliance.ocr import Reader
from appliance.scoring.scorer import Scorer
from appliance.store import captures
from appliance.store.captures import CaptureVault
from tests.whole_box import WholeBox, start_box, wait_for

EVENTS = 40
SPEED = "8"


def measure() -> list[dict[str, object]]:
    """p50 and p95 of agent to queue, beside bare reading and scoring of the same screens."""
    with tempfile.TemporaryDirectory() as folder:
        box = start_box(Path(folder) / "box", "--speed", SPEED)
        try:
            return _measure(box)
        finally:
            box.stop()


def _measure(box: WholeBox) -> list[dict[str, object]]:
    db = box.database()
    query = "SELECT id, occurred_at, assessed_at, typed, context FROM event WHERE assessed_at IS NOT NULL"
    rows = wait_for(
        "assessed events", lambda: r if len(r := db.conn.execute(query).fetchall()) >= EVENTS else None, 600
    )
    box.stop()
    seconds = [(datetime.fromisoformat(row[2]) - datetime.fromisoformat(row[1])).total_seconds() for row in rows]
    bare = []
    reader, scorer = Reader(cache_lines=0), Scorer()
    vault = CaptureVault(box.home / "data" / "captures", (box.home / "keys" / "capture.key").read_bytes())
    for event_id, _, _, typed, _ in rows:
        capture = captures.get_capture(db, event_id)
        assert capture is not None
        image = vault.open(capture.sha256)
        begun = time.perf_counter()
        scorer.score_event(typed, (), reader.read(image).text)
        bare.append(time.perf_counter() - begun)
    name, peer = "agent to queue, reading and scoring on", "reading and scoring alone"
    p95 = lambda values: statistics.quantiles(values, n=20)[-1]  # noqa: E731
    return [
        {"name": f"{name}, p50", "value": statistics.median(seconds), "unit": "s", "peer": f"{peer}, p50",
         "peer_value": statistics.median(bare)},
        {"name": f"{name}, p95", "value": p95(seconds), "unit": "s", "peer": f"{peer}, p95", "peer_value": p95(bare)},
    ]  # fmt: skip
