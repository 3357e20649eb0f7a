"""``appliance verify-audit``: says that the trail is whole, names the first broken entry, and prints its anchor."""

import json
import os
import subprocess
import sys
from pathlib import Path

from appliance.safeguarding.access import Role
from appliance.store.audit import get_head
from tests.factories import Box


def verify(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance", "verify-audit", *options]
    environment = os.environ | {"TRUSTKEEP_HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_whole_trail_is_said_to_be_whole_and_its_head_is_the_anchor(box: Box) -> None:
    box.staff(Role.DSL, academy_id="ashby")
    seq, digest = get_head(box.db)
    assert seq > 0
    plain = verify(box.config.home)
    assert plain.returncode == 0 and f"whole: {seq} entries" in plain.stdout
    anchored = verify(box.config.home, "--anchor")
    assert anchored.returncode == 0 and json.loads(anchored.stdout) == {"entries": seq, "head": digest}


def test_a_broken_trail_is_named_and_fails(box: Box) -> None:
    box.staff(Role.DSL, academy_id="ashby")
    box.db.conn.executescript("DROP TRIGGER audit_never_changed; UPDATE audit SET kind = 'x' WHERE seq = 2;")
    broken = verify(box.config.home)
    assert broken.returncode == 1 and "entry 2 was changed" in broken.stdout
