"""What a technician learns of the directories from the command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from appliance.config import Config
from appliance.store import directory
from tests.directory.conftest import RunningProvider, free_ports, with_ldap, with_provider
from tests.directory.slapd import Slapd
from tests.factories import NOW, Box

ROOT = Path(__file__).parents[2]


def appliance(config: Config, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with these settings."""
    ours = {
        f"TRUSTKEEP_{field.name.upper()}": str(getattr(config, field.name))
        for field in fields(config)
        if "_" in field.name
    }
    kept = {name: value for name, value in ours.items() if name.startswith(("TRUSTKEEP_OIDC", "TRUSTKEEP_LDAP"))}
    environment = {**os.environ, **kept, "TRUSTKEEP_HOME": str(config.home)}
    return subprocess.run(
        [sys.executable, "-m", "appliance", *arguments], env=environment, cwd=ROOT, capture_output=True, text=True
    )


def test_check_says_that_both_directories_answer(box: Box, provider: RunningProvider, slapd: Slapd) -> None:
    done = appliance(with_ldap(box.config, slapd), "directory", "check")
    assert (done.returncode, done.stdout) == (0, f"{slapd.ldaps}: it answers, and fits.\n")
    done = appliance(with_provider(box.config, "http://localhost" + provider.issuer[16:]), "directory", "check")
    assert done.returncode == 1 and "calls itself" in done.stdout  # 127.0.0.1 by another name is another issuer
    (box.config.keys / "directory-ca.crt").unlink()
    done = appliance(with_provider(box.config, provider.issuer), "directory", "check")
    assert (done.returncode, done.stdout) == (0, f"{provider.issuer}: it answers, and fits.\n")


def test_check_says_what_is_wrong_in_one_line(box: Box, slapd: Slapd) -> None:
    (port,) = free_ports(1)
    done = appliance(with_ldap(box.config, slapd, ldap_url=f"ldaps://localhost:{port}"), "directory", "check")
    assert done.returncode == 1 and "does not answer" in done.stdout and "Traceback" not in done.stderr
    done = appliance(with_ldap(box.config, slapd, ldap_url="larch"), "directory", "check")
    assert done.returncode == 2 and done.stderr.startswith("appliance: ldap_url:")
    assert appliance(box.config, "directory", "check").stdout.startswith("No directory is set")


def test_unlink_unties_a_person(box: Box, invited: Callable[[str], str]) -> None:
    staff_id = invited("hannah@school.example")
    directory.insert_link(box.db, directory.DirectoryLink("https://issuer", "subject", staff_id, NOW, NOW))
    assert appliance(box.config, "directory", "unlink", "nobody@school.example").returncode == 1
    done = appliance(box.config, "directory", "unlink", "Hannah@school.example")
    assert done.returncode == 0 and "(1 before)" in done.stdout
    assert directory.select_links(box.db, staff_id) == []
    entry = box.db.conn.execute("SELECT actor_id, kind, subject FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    assert entry == ("system", "directory:unlinked", f"staff:{staff_id}")
