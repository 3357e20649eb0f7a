"""Putting the demo trust on a fresh box, and enrolling its devices. Safe to repeat."""

import base64
import json
import secrets
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from agent.enrolment import make_key_and_request
from appliance.broker.signing import make_signer
from appliance.config import Config
from appliance.safeguarding.access import ROLES, Grant
from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.start import StartError, enrol_from_request
from appliance.store import academies, people, policies
from appliance.store.audit import append_audit
from appliance.store.connection import open_system, transaction
from appliance.store.credentials import Credential, SecretSeal, insert_credential
from appliance.workflow.grant import add_staff
from appliance.workflow.issue import issue_policy
from demo.content import POLICY_FILE, DemoDevice, DemoStaff, DemoTrust, load_trust

_WORDS = """
amber anchor apple basil beacon birch bramble brook candle cedar clover cobalt comet copper coral dapple ember
fern finch garnet ginger hazel heron indigo ivory jasper juniper kettle lantern larch linen maple marble meadow mellow
nutmeg ochre olive orchid otter pebble pepper plover quartz quill raven river saffron sable sorrel sparrow spruce tansy
teal thistle timber topaz tulip umber velvet walnut willow
""".split()  # noqa: SIM905 a list of so many words reads badly


@dataclass(frozen=True, slots=True)
class Account:
    """A person one can sign in as, with the password and the authenticator's secret made for this box."""

    name: str
    role: str
    email: str
    password: str
    secret: str


def new_id() -> str:
    """A fresh id."""
    return secrets.token_urlsafe(15)


def seed_trust(config: Config) -> list[Account]:
    """Put the trust on the box if it has none yet. Returns the accounts to sign in with.

    Passwords and secrets are made here, once, by chance, and kept in a file that only this user can read: the demo's
    people have no telephones, so the file is theirs.
    """
    kept = config.home / "demo" / "accounts.json"
    db = open_system(config.database)
    try:
        if db.conn.execute("SELECT 1 FROM trust").fetchone() is None:
            seal = SecretSeal((config.keys / "capture.key").read_bytes())
            accounts = _fill(db, seal, load_trust(), datetime.now(UTC))
            kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            kept.write_text(json.dumps([astuple(one) for one in accounts], indent=1))
            kept.chmod(0o600)
    finally:
        db.close()
    return read_accounts(config)


def read_accounts(config: Config) -> list[Account]:
    """The accounts one can sign in as, from their file. Raises StartError when the file is of an earlier version."""
    kept = config.home / "demo" / "accounts.json"
    try:
        return [Account(*row) for row in json.loads(kept.read_text())] if kept.exists() else []
    except TypeError:
        raise StartError("These demo accounts have no second factor. Make them anew: make clean-data") from None


def _fill(db: Database, seal: SecretSeal, trust: DemoTrust, now: datetime) -> list[Account]:
    accounts = []
    with transaction(db):
        academies.insert_trust(db, academies.Trust(trust.key, trust.name))
        for one in trust.academies:
            academies.insert_academy(
                db, people.Academy(one.key, trust.key, one.name, one.short_name, None, one.laestab, one.phase)
            )
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
    for person in trust.staff:
        account = _add_person(db, seal, trust, person, now)
        if person.demo:
            accounts.append(account)
    return accounts


def _add_person(db: Database, seal: SecretSeal, trust: DemoTrust, person: DemoStaff, now: datetime) -> Account:
    # only the four one can sign in as have a password and a second factor; nobody has a default one
    password = "-".join(secrets.choice(_WORDS) for _ in range(5)) if person.demo else None
    grant = Grant(person.role, academy_id=person.academy) if person.academy else Grant(person.role, trust_id=trust.key)
    staff, secret = people.Staff(new_id(), person.name, person.email), ""
    add_staff(db, staff, password, [grant], now, new_id)
    if person.demo:
        secret = base64.b32encode(secrets.token_bytes(20)).decode()
        _give_authenticator(db, seal, staff.id, secret, now)
    return Account(person.name, ROLES[person.role].title, person.email, password or "", secret)


def _give_authenticator(db: Database, seal: SecretSeal, staff_id: str, secret: str, now: datetime) -> None:
    credential_id = new_id()
    sealed = seal.seal(credential_id, secret)
    with transaction(db):
        insert_credential(db, Credential(credential_id, staff_id, "totp", "Demo", now, now, secret=sealed))
        detail = {"credential": credential_id, "kind": "totp"}
        append_audit(db, AuditEntry(SYSTEM, "credential:added", f"staff:{staff_id}", None, now, detail))


def issue_policies(config: Config) -> None:
    """Issue the demo's policy for each academy that has none, or an earlier one than the file's."""
    draft = json.loads(POLICY_FILE.read_text(encoding="utf-8"))
    db = open_system(config.database)
    try:
        in_force = policies.select_policies(db)
        for academy in load_trust().academies:
            issued = in_force.get(academy.key)
            if issued is None or issued.version != draft["version"]:
                issue_policy(db, None, academy.key, draft, make_signer(config), datetime.now(UTC), new_id)
    finally:
        db.close()


def enrol_devices(config: Config) -> list[tuple[DemoDevice, Path]]:
    """Have each demo device make its key, be enrolled and get its settings. Returns devices and settings files."""
    issue_policies(config)
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
    _write_policy(config, device, folder / "policy.json")
    settings = folder / "agent.json"
    settings.write_text(
        json.dumps(
            {
                "device_id": device.id,
                "data_dir": "outbox",
                "policy": "policy.json",
                "policy_key": str(config.keys / "policy.pub"),
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


def _write_policy(config: Config, device: DemoDevice, path: Path) -> None:
    """Give a device the policy in force, as enrolling with a code would."""
    db = open_system(config.database)
    try:
        found = policies.get_policy_envelope(db, device.academy)
        assert found is not None
        path.write_text(found[1])
    finally:
        db.close()
