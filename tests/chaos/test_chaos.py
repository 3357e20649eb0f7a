"""The storm in its short form; ``make chaos`` runs the whole of it."""

import json
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.safeguarding.device import SETTLED_AFTER
from appliance.store.connection import open_system, to_text
from tests.broker.running import Program, Site, wait_until
from tests.chaos.storm import SHORT, Count, Storm


def check(count: Count, kills: int) -> None:
    """What must be true after any storm."""
    figures = "\n".join(count.lines())
    assert (count.lost, count.duplicated, count.corrupt) == (0, 0, 0), figures
    assert count.stored + count.refused + count.gaps_made == count.events, figures
    assert count.gaps_told == count.gaps_made and count.gaps_right, figures
    assert count.kills.total() == kills and count.audit_whole, figures
    assert count.unfinished == 0, figures


def test_nothing_is_lost_in_a_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    storm = Storm(tmp_path, SHORT)
    try:
        count = storm.run()
    finally:
        storm.close()
    check(count, SHORT.kills)
    with capsys.disabled():
        print("", *count.lines(), sep="\n  ")


def test_a_box_restored_from_an_older_backup_gets_back_what_devices_still_hold(tmp_path: Path) -> None:
    site = Site(tmp_path)
    try:
        _restore(site, tmp_path)
    finally:
        site.close()


def _restore(site: Site, folder: Path) -> None:
    one = site.enrol("STORM-00")
    device = {"id": one.device_id, "host": one.host, "port": one.port, "ca": str(one.ca), "crt": str(one.certificate)}
    device |= {"key": str(one.key), "data": str(folder / "data")}
    spec = folder / "spec.json"
    fields = {"devices": [device], "box_key": str(site.config.keys / "box.pub"), "events": 12, "smallest": 2000}
    spec.write_text(
        json.dumps(fields | {"largest": 9000, "a_second": 50, "receipt_wait": 5, "clock": str(folder / "right")})
    )
    site.start_mosquitto()
    ingest = site.start_ingest()
    backup = folder / "backup.db"
    site.box.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(site.config.database, backup)
    agents = Program(sys.executable, "-m", "tests.chaos.agents", spec)
    site.started.append(agents)
    wait_until(lambda: site.count("event") == 12, "every event")
    before = {row[0] for row in site.box.db.conn.execute("SELECT message_id FROM event")}
    assert ingest.stop() == 0
    site.box.db.close()
    for name in ("", "-wal", "-shm"):
        Path(f"{site.config.database}{name}").unlink(missing_ok=True)
    shutil.copy(backup, site.config.database)
    site.box.db = open_system(site.config.database)
    assert site.count("event") == 0
    site.start_ingest()
    wait_until(lambda: site.count("sequence_mark") == 1, "the device's count")
    # the claim must have stood for some minutes; they are taken from the clock here, not waited for
    long_ago = to_text(datetime.now(UTC) - SETTLED_AFTER)
    site.box.db.conn.execute("UPDATE sequence_mark SET claimed_at = ?", [long_ago])
    wait_until(lambda: site.count("event") == 12, "every event again, asked for by the box itself")
    assert {row[0] for row in site.box.db.conn.execute("SELECT message_id FROM event")} == before
