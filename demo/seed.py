"""Putting the demo trust on a fresh box, and enrolling its devices. Safe to repeat."""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from agent.enrolment import make_key_and_request
from appliance.config import Config
from appliance.safeguarding.access import ROLES, Grant
from appliance.safeguarding.severity import Category
from appliance.start import enrol_from_request
from appliance.store import devices, people
from appliance.store.connection import open_system, transaction
from appliance.workflow.grant import add_staff
from demo.content import POLICY_FILE, DemoDevice, DemoStaff, DemoTrust, load_trust

_WORDS = """
amber anchor apple basil beacon birch bramble brook candle cedar clover cobalt comet copper coral dapple ember
fern finch garnet ginger hazel heron indigo ivory jasper juniper kettle lantern larch linen maple marble meadow mellow
nutmeg ochre olive orchid otter pebble pepper plover quartz quill raven river saffron sable sorrel sparrow spruce tansy
teal thistle timber topaz tulip umber velvet walnut willow
""".split()  # noqa: SIM905 a list of so many words reads badly


@dataclass(frozen=True, slots=True)
class Account:
    """A person one can sign in as, with the password made for this box."""

    name: str
    role: str
    email: str
    password: str


def new_id() -> str:
    """A fresh id."""
    return secrets.token_urlsafe(15)


def seed_trust(config: Config) -> list[Account]:
    """Put the trust on the box if it has none yet. Returns the accounts to sign in with.

    Passwords are made here, once, by chance, and kept in a file that only this user can read.
    """
    kept = config.home / "demo" / "accounts.json"
    db = open_system(config.database)
    try:
        if db.conn.execute("SELECT 1 FROM trust").fetchone() is None:
            accounts = _fill(db, load_trust(), datetime.now(UTC))
            kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            kept.write_text(json.dumps([[one.name, one.role, one.email, one.password] for one in accounts], indent=1))
            kept.chmod(0o600)
    finally:
        db.close()
    return [Account(*row) for row in json.loads(kept.read_text())] if kept.exists() else []


def _fill(db: Database, trust: DemoTrust, now: datetime) -> list[Account]:
    accounts = []
    with transaction(db):
        people.insert_trust(db, trust.key, trust.name)
        for one in trust.academies:
            academy = people.Academy(one.key, trust.key, one.name, one.short_name)
            people.insert_academy(db, academy, one.laestab, one.phase)
    with transaction(db):
        for child in trust.pupils:
            pupil = people.Pupil(
                new_id(),
                child.academy,
                "",
                child.upn,
                child.surname,
                child.forename,
                child.born_on,
                child.year_group,
                child.reg_group,
                child.flags,
            )
            people.insert_pupil(db, pupil)
            people.insert_pupil_account(db, new_id(), pupil, child.account)
        rules = json.loads(POLICY_FILE.read_text(encoding="utf-8"))["rules"]
        devices.set_policy_rules(db, {rule["id"]: Category(rule["category"]) for rule in rules})
    for person in trust.staff:
        account = _add_person(db, trust, person, now)
        if person.demo:
            accounts.append(account)
    return accounts


def _add_person(db: Database, trust: DemoTrust, person: DemoStaff, now: datetime) -> Account:
    # only the four one can sign in as have a password; nobody has a default one
    password = "-".join(secrets.choice(_WORDS) for _ in range(5)) if person.demo else None
    grant = Grant(person.role, academy_id=person.academy) if person.academy else Grant(person.role, trust_id=trust.key)
    add_staff(db, people.Staff(new_id(), person.name, person.email), password, [grant], now, new_id)
    return Account(person.name, ROLES[person.role].title, person.email, password or "")


def enrol_devices(config: Config) -> list[tuple[DemoDevice, Path]]:
    """Have each demo device make its key, be enrolled and get its settings. Returns devices and settings files."""
    return [(device, _enrol(config, device)) for device in load_trust().devices]


def _enrol(config: Config, device: DemoDevice) -> Path:
    folder = config.home / "demo" / "devices" / device.id
    certificate = folder / "device.crt"
    if not certificate.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = folder / "device.key"
        key.unlink(missing_ok=True)
        request = make_key_and_request(folder, device.id).request
        place = f"{device.name}: {device.place}"
        enrol_from_request(config, device.id, device.academy, request, certificate, place)
    settings = folder / "agent.json"
    settings.write_text(
        json.dumps(
            {
                "device_id": device.id,
                "data_dir": "outbox",
                "policy": str(POLICY_FILE),
                "box_key": str(config.keys / "box.pub"),
                "broker": {
                    "host": "localhost",
                    "port": config.broker_port,
                    "ca": str(config.keys / "ca.crt"),
                    "certificate": certificate.name,
                    "key": "device.key",
                },
            },
            indent=1,
        )
    )
    return settings
