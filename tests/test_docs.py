"""What is documented is there, and what is there is documented."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from appliance.config import Config
from appliance.safeguarding.event import EVENT_TRANSITIONS
from appliance.store.connection import SCOPED_TABLES

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)`", text, re.MULTILINE))
    config = Config(Path("/"))
    names = {field.name for field in fields(Config)} - {"home"}
    assert set(rows) == names
    for name in names:
        value = getattr(config, name)
        shown = str(list(value)).replace("'", '"') if isinstance(value, tuple) else str(value)
        assert rows[name] == shown


def test_every_transition_is_in_the_picture() -> None:
    text = (ROOT / "docs/states.md").read_text(encoding="utf-8")
    drawn = {(a.lower(), b.lower()) for a, b in re.findall(r"^ +(\w+) --> (\w+):", text, re.MULTILINE)}
    real = {(a.value, b.value) for a, following in EVENT_TRANSITIONS.items() for b in following if a != b}
    assert drawn == real


def test_every_room_is_on_the_maps() -> None:
    architecture = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (ROOT / "appliance").iterdir() if (path / "__init__.py").exists()}
    for room in rooms:
        assert f"`appliance/{room}`" in architecture
        assert f"`{room}/`" in README


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_and_picture_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


def test_every_make_command_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = set(re.findall(r"`make ([a-z-]+)`", README)) | set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE))
    assert {"run", "test"} <= commands
    assert [name for name in commands if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_every_verb_of_the_command_line_is_in_the_readme_and_has_help() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "appliance", "--help"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    verbs = re.findall(r"^    ([a-z-]+)\s", shown.stdout, re.MULTILINE)
    assert {"run", "read", "score", "verify-audit"} <= set(verbs)
    assert [verb for verb in verbs if f"`{verb}`" not in README] == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split(
        "\n"
    )
    never = re.compile(r"(^|[\s\"'=(])/(work|home|root)/|py" + r"pi\.org|deb\.deb" + r"ian\.org|registry\.npm" + "js")
    found = [
        name
        for name in listed
        if (path := ROOT / name).is_file()
        and path.suffix in {".py", ".md", ".txt", ".toml", ".in", ".js", ".css", ".html", ".json", ".jsonl", ""}
        and never.search(path.read_text(encoding="utf-8", errors="ignore"))
    ]
    assert found == []


def test_every_scoped_table_exists_in_the_schema() -> None:
    schema = (ROOT / "appliance/store/migrations.py").read_text(encoding="utf-8")
    assert [table for table in SCOPED_TABLES if f"CREATE TABLE {table} " not in schema] == []
