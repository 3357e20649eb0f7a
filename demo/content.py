"""Reads the demo trust from its files into plain values. Nothing here writes, and nothing here is a real person."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from appliance.safeguarding.access import Role
from appliance.safeguarding.severity import Category, Severity

HERE = Path(__file__).parent
TRUST_FILE = HERE / "trust.json"
POLICY_FILE = HERE / "policy.json"
DAY_FOLDER = HERE / "day"
SCREEN_FOLDER = HERE / "screens"
TRUTH_FILE = SCREEN_FOLDER / "truth.json"


@dataclass(frozen=True, slots=True)
class DemoAcademy:
    """An academy of the demo trust. key: how the other records name it. laestab: 7 digits."""

    key: str
    name: str
    short_name: str
    phase: str
    laestab: str


@dataclass(frozen=True, slots=True)
class DemoPupil:
    """An invented pupil. account: the name signed in with on a device; year_group: "R" or "1" to "13"."""

    academy: str
    surname: str
    forename: str
    upn: str
    born_on: date
    sex: str
    year_group: str
    reg_group: str
    account: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DemoStaff:
    """An invented member of staff with one role. academy: None for the whole trust.

    demo: this is the person whom a visitor may sign in as.
    """

    name: str
    email: str
    role: Role
    academy: str | None
    demo: bool


@dataclass(frozen=True, slots=True)
class DemoDevice:
    """A device that plays a recorded day."""

    id: str
    academy: str
    name: str
    place: str

    @property
    def day_file(self) -> Path:
        """The day it plays."""
        return DAY_FOLDER / f"{self.id}.jsonl"


@dataclass(frozen=True, slots=True)
class DemoTrust:
    """The whole demo trust. key and name are the trust's own."""

    key: str
    name: str
    school_year: str
    academies: tuple[DemoAcademy, ...]
    devices: tuple[DemoDevice, ...]
    staff: tuple[DemoStaff, ...]
    pupils: tuple[DemoPupil, ...]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a careful reader makes of a step. rule: the policy's rule that fires on it, None where none does."""

    category: Category
    level: Severity
    rule: str | None


@dataclass(frozen=True, slots=True)
class DayStep:
    """One step of a recorded day. after_seconds: the gap since the step before, at speed 1."""

    after_seconds: float
    account: str
    application: str
    window_title: str
    address: str
    typed: str
    screen: Path
    context: tuple[str, ...]
    expect: Expectation


def load_trust(path: Path = TRUST_FILE) -> DemoTrust:
    """The trust, its people and its devices. Raises KeyError or ValueError where the file isn't as described."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return DemoTrust(
        key=document["trust"]["key"],
        name=document["trust"]["name"],
        school_year=document["school_year"],
        academies=tuple(DemoAcademy(**entry) for entry in document["academies"]),
        devices=tuple(DemoDevice(**entry) for entry in document["devices"]),
        staff=tuple(_read_staff(entry) for entry in document["staff"]),
        pupils=tuple(_read_pupil(entry) for entry in document["pupils"]),
    )


def load_day(path: Path) -> tuple[DayStep, ...]:
    """The steps of one day file, each screen as a path of its own. Raises KeyError or ValueError as load_trust."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(_read_step(json.loads(line), path.parent) for line in lines)


def load_truth(path: Path = TRUTH_FILE) -> dict[str, tuple[str, ...]]:
    """For each screen's file name the words that can be seen on it, in the order of the page."""
    return {name: tuple(words) for name, words in json.loads(path.read_text(encoding="utf-8")).items()}


def _read_staff(entry: dict[str, Any]) -> DemoStaff:
    return DemoStaff(
        name=entry["name"],
        email=entry["email"],
        role=Role(entry["role"]),
        academy=None if entry["scope"] == "trust" else entry["scope"],
        demo=entry.get("demo", False),
    )


def _read_pupil(entry: dict[str, Any]) -> DemoPupil:
    fields = {name: value for name, value in entry.items() if name not in ("dob", "flags")}
    return DemoPupil(**fields, born_on=date.fromisoformat(entry["dob"]), flags=tuple(entry["flags"]))


def _read_step(entry: dict[str, Any], folder: Path) -> DayStep:
    expect = entry["expect"]
    return DayStep(
        after_seconds=entry["after_seconds"],
        account=entry["account"],
        application=entry["application"],
        window_title=entry["window_title"],
        address=entry["address"],
        typed=entry["typed"],
        screen=(folder / entry["screen"]).resolve(),
        context=tuple(entry.get("context", ())),
        expect=Expectation(Category(expect["category"]), Severity(expect["level"]), expect["rule"]),
    )
