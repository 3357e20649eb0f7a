"""The import table of docs/architecture.md, kept."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

ROOMS = {
    "safeguarding": set(),
    "store": {"safeguarding"},
    "ocr": {"safeguarding"},
    "scoring": {"safeguarding"},
    "search": {"safeguarding"},
    "exchange": {"safeguarding"},
    "directory": {"safeguarding", "config"},
    "notify": {"safeguarding"},
    "workflow": {"safeguarding", "store", "ocr", "scoring", "search", "exchange", "notify"},
    "broker": {"safeguarding", "workflow", "store", "config"},
    "web": {"safeguarding", "workflow", "store", "search", "directory", "config"},
}
ALONE = {
    "sqlite3": "store",
    "sqlite_utils": "store",
    "tesserocr": "ocr",
    "onnxruntime": "scoring",
    "whoosh": "search",
    "smtplib": "notify",
    "paho": "broker",
    "flask": "web",
    "argon2": "workflow",
    "pyotp": "workflow",
    "webauthn": "workflow",
    "segno": "web",
    "authlib": "directory",
    "joserfc": "directory",
    "requests": "directory",
    "ldap3": "directory",
}
# the type of the connection that is passed through, and nothing of sqlite3 itself
PASSED_THROUGH = {("workflow", "sqlite_utils"), ("web", "sqlite_utils"), ("broker", "sqlite_utils")}
# where things are joined: they pass a connection on to several rooms
JOINED = {"worker.py", "indexing.py", "telling.py", "imports.py"}
WITHOUT_A_PERSON = {"store", "broker"}


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(room: str) -> list[Path]:
    return sorted((ROOT / "appliance" / room).rglob("*.py"))


def test_each_room_imports_only_what_the_table_allows() -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for room, allowed in ROOMS.items()
        for path in modules(room)
        for name in imports(path)
        if name.startswith("appliance.") and name.split(".")[1] not in allowed | {room, "__version__"}
    ]
    assert not broken


def test_each_library_has_one_room() -> None:
    everything = [path for path in (ROOT / "appliance").rglob("*.py")]
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in everything
        for name in imports(path)
        for library, home in ALONE.items()
        if (name == library or name.startswith(f"{library}."))
        and (room := path.relative_to(ROOT / "appliance").parts[0]) != home
        and (room, library) not in PASSED_THROUGH
        and room not in JOINED
    ]
    assert not broken


def test_safeguarding_is_pure() -> None:
    never = {"os", "pathlib", "socket", "subprocess", "random", "secrets", "time", "logging", "sqlite3"}
    broken = [
        f"{path.name} imports {name}"
        for path in modules("safeguarding")
        for name in imports(path)
        if name.split(".")[0] in never
    ]
    assert not broken
    clocks = [
        path.name
        for path in modules("safeguarding") + modules("workflow") + modules("store")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"now", "today", "utcnow"}
    ]
    assert not clocks, "time comes in as an argument"


def test_the_agent_imports_nothing_of_the_box() -> None:
    broken = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "agent").rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] == "appliance"
    ]
    assert not broken


def test_a_connection_without_a_person_is_opened_only_where_no_person_is() -> None:
    broken = [
        str(path.relative_to(ROOT))
        for room in ROOMS
        if room not in WITHOUT_A_PERSON
        for path in modules(room)
        if any(name.endswith("open_system") for name in imports(path))
    ]
    assert not broken
