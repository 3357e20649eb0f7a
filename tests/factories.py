"""What tests make boxes, people and events of. Everything lands in a real SQLite file."""

import base64
import hashlib
import itertools
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlite_utils import Database

from appliance.config import Config
from appliance.safeguarding.access import Actor, Grant, Role
from appliance.safeguarding.event import Capture, CategoryScores, Event, EventState, Reading, Reason, Word
from appliance.safeguarding.moderation import Verdict
from appliance.safeguarding.severity import Category, Severity
from appliance.safeguarding.sign_in import steps_accepted
from appliance.store import academies, credentials, devices, people
from appliance.store.captures import CaptureVault
from appliance.store.connection import open_as, open_system, transaction
from appliance.store.migrations import migrate
from appliance.workflow.assess import Assessment, assess_event, claim_next_event
from appliance.workflow.credentials import code_now
from appliance.workflow.grant import add_staff
from appliance.workflow.ingest import Receipt, Report, ingest_event
from appliance.workflow.moderate import moderate_event

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
PASSWORD = "a long enough test password"


@dataclass
class Box:
    """A box with two trusts: Ashby and Birch academies in one, Cedar in the other. No process runs."""

    config: Config
    db: Database
    vault: CaptureVault
    seal: credentials.SecretSeal
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_id(self) -> str:
        """A fresh id that tells its order."""
        return f"id{next(self._numbers):05d}"

    def staff(
        self,
        role: Role,
        academy_id: str | None = None,
        trust_id: str | None = None,
        name: str = "",
        authenticator: bool = True,
    ) -> Actor:
        """A person with one role, and an authenticator app unless told otherwise."""
        staff_id = self.new_id()
        name = name or f"{role} {staff_id}"
        person = people.Staff(staff_id, name, f"{staff_id}@school.example")
        grant = Grant(role, trust_id=trust_id, academy_id=academy_id)
        add_staff(self.db, person, PASSWORD, [grant], NOW - timedelta(days=1), self.new_id)
        if authenticator:
            self.give_authenticator(staff_id)
        return self.actor(staff_id)

    def give_authenticator(self, staff_id: str) -> str:
        """A second factor, with the secret that ``authenticator_secret`` tells; its id."""
        credential_id = self.new_id()
        sealed = self.seal.seal(credential_id, authenticator_secret(staff_id))
        at = NOW - timedelta(days=1)
        with transaction(self.db):
            credentials.insert_credential(
                self.db, credentials.Credential(credential_id, staff_id, "totp", "Telephone", at, at, secret=sealed)
            )
        return credential_id

    def actor(self, staff_id: str) -> Actor:
        """The person with the grants in force now."""
        actor = people.get_actor(self.db, staff_id, NOW)
        assert actor is not None
        return actor

    def open_as(self, actor: Actor | None) -> Database:
        """The database as the portal opens it for this person."""
        return open_as(self.config.database, actor)

    def pupil(self, academy_id: str = "ashby", forename: str = "Robin", surname: str = "Testcase") -> people.Pupil:
        """A pupil whose account is their id."""
        pupil_id = self.new_id()
        pupil = people.Pupil(pupil_id, academy_id, "", None, surname, forename, None, "9", "9A", ("young_carer",))
        with transaction(self.db):
            people.insert_pupil(self.db, pupil)
            people.insert_pupil_account(self.db, self.new_id(), pupil, pupil_id)
        return pupil

    def report(
        self,
        device_id: str = "ASH-01",
        account: str = "nobody",
        typed: str = "i dont want to go home tonight",
        image: bytes | None = None,
        message_id: str = "",
        occurred_at: datetime = NOW,
    ) -> Report:
        """What a device sends; its image need not be a picture where nobody reads it."""
        number = next(self._numbers)
        image = f"image {number}".encode() if image is None else image
        event = Event(
            message_id or f"message-{number}",
            device_id,
            number + 1,
            account,
            occurred_at,
            "home-fear",
            "go home",
            "Chatterbox",
            "Chat with Sam",
            "",
            typed,
            ("hiya", "you ok?"),
        )
        capture = Capture(hashlib.sha256(image).hexdigest(), "image/webp", 1366, 768, len(image)) if image else None
        return Report(event, "epoch", capture, image)

    def ingest(self, report: Report, now: datetime = NOW) -> Receipt:
        """Take a report in."""
        return ingest_event(self.db, self.vault, report, now, self.new_id)

    def received(self, device_id: str = "ASH-01", account: str = "nobody", **more: str) -> str:
        """An event in state RECEIVED; its id."""
        report = self.report(device_id, account, **more)
        assert self.ingest(report) is Receipt.STORED
        row = self.db.conn.execute("SELECT id FROM event WHERE message_id = ?", [report.event.message_id]).fetchone()
        return str(row[0])

    def assessed(
        self,
        device_id: str = "ASH-01",
        account: str = "nobody",
        category: Category = Category.ABUSE,
        level: Severity = Severity.SERIOUS,
        **more: str,
    ) -> str:
        """An event that was read and scored as given; its id. Nothing else may be waiting."""
        event_id = self.received(device_id, account, **more)
        claimed = claim_next_event(self.db, "test", NOW)
        assert claimed is not None and claimed.id == event_id
        assess_event(self.db, event_id, Assessment(reading(), scores(category, level)), NOW, self.new_id)
        return event_id

    def confirmed(self, moderator: Actor, device_id: str = "ASH-01", account: str = "nobody") -> str:
        """An event that a moderator set to Vulnerable Person level 4; its id."""
        event_id = self.assessed(device_id, account)
        verdict = Verdict(Severity.SERIOUS, Category.ABUSE, "Reads as a disclosure.")
        db = self.open_as(moderator)
        assert moderate_event(db, moderator, event_id, verdict, NOW, self.new_id) is EventState.CONFIRMED
        db.close()
        return event_id


def authenticator_secret(staff_id: str) -> str:
    """The secret in a test person's authenticator app."""
    return base64.b32encode(hashlib.sha1(staff_id.encode()).digest()).decode()


def fresh_code(db: Database, staff_id: str, secret: str) -> str:
    """A code that counts now and has not been used. Waits for the next one, as a person would, when all have been."""
    while True:
        (last,) = db.conn.execute(
            "SELECT max(last_step) FROM credential WHERE staff_id = ? AND kind = 'totp'", [staff_id]
        ).fetchone()
        # as of a few seconds on, so that no code runs out on its way
        accepted = set(steps_accepted(at := datetime.now(UTC), last)) & set(
            steps_accepted(at + timedelta(seconds=8), last)
        )
        if accepted:
            return code_now(secret, at, min(accepted))
        time.sleep(0.2)  # between two looks at the clock; the step decides, not this


def reading(text: str = "i dont want to go home tonight") -> Reading:
    """A reading of a line of text."""
    words = tuple(Word(word, (10 + 50 * n, 20, 45, 16), 95.0) for n, word in enumerate(text.split()))
    return Reading(text, words, 0.4, "tesseract")


def scores(category: Category, level: Severity) -> CategoryScores:
    """Scores that name a category."""
    values = {one: 0.01 for one in Category if one is not Category.NONE}
    if category is not Category.NONE:
        values[category] = 0.93
    reasons = (Reason("words", "go home", category, 0.4),) if category is not Category.NONE else ()
    return CategoryScores(category, level, values, reasons, "test 1", 0.5)


def make_box(folder: Path) -> Box:
    """A fresh box in a folder."""
    config = Config(home=folder)
    for path in (config.data, config.keys, config.run, config.captures, config.index):
        path.mkdir(parents=True, exist_ok=True)
    for name in ("capture.key", "session.key"):
        (config.keys / name).write_bytes(os.urandom(32))
    db = open_system(config.database)
    migrate(db)
    with transaction(db):
        academies.insert_trust(db, academies.Trust("larch", "Larch Trust"))
        academies.insert_trust(db, academies.Trust("maple", "Maple Trust"))
        for academy_id, trust_id in (("ashby", "larch"), ("birch", "larch"), ("cedar", "maple")):
            name = academy_id.title()
            academies.insert_academy(db, people.Academy(academy_id, trust_id, f"{name} Academy", name))
    with transaction(db):
        for device_id, academy_id in (("ASH-01", "ashby"), ("BIR-01", "birch"), ("CED-01", "cedar")):
            devices.insert_device(db, device_id, academy_id, device_id, "Library", "1", NOW)
        devices.set_policy_rules(db, {"home-fear": Category.ABUSE})
    key = (config.keys / "capture.key").read_bytes()
    return Box(config, db, CaptureVault(config.captures, key), credentials.SecretSeal(key))
