"""Every route by every kind of person, against one committed table.

``yes`` the page or change is theirs, ``yes+`` and the child's name or words are on it, ``no`` it does not exist for
them, ``ask`` they must give a reason first, ``sign-in`` they must sign in, ``shut`` what they sent proves nothing.
The objects in the addresses are all of Ashby academy. ``python -m tests.test_access_matrix`` writes the table anew:
read the difference, line by line, before you commit it.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from appliance.config import Config
from appliance.imports import run_waiting, take_file
from appliance.indexing import index_once, start_indexing
from appliance.safeguarding.access import Actor, Role
from appliance.safeguarding.concern import NewAction, NewConcern
from appliance.safeguarding.moderation import Verdict
from appliance.safeguarding.pupil import ImportState
from appliance.safeguarding.referral import Agency, Consent, NewReferral
from appliance.safeguarding.report import NewReport
from appliance.safeguarding.severity import Category, Severity
from appliance.safeguarding.vault import NewVaultEntry, VaultKind
from appliance.store import people
from appliance.store.accounts import select_claims
from appliance.store.captures import set_preview
from appliance.store.connection import open_system, transaction
from appliance.web.app import create_app
from appliance.workflow.claim_account import claim_account
from appliance.workflow.enrol import make_enrolment_code
from appliance.workflow.moderate import moderate_event
from appliance.workflow.open_record import lock_record, open_record
from appliance.workflow.record import open_concern, record_action
from appliance.workflow.refer import make_referral
from appliance.workflow.report import report_concern
from appliance.workflow.sign_in import begin_session
from appliance.workflow.vault import enter_in_vault
from tests.factories import NOW, Box, make_box
from tests.web.conftest import Visitor

TABLE = Path(__file__).with_name("access_matrix.txt")
SURNAME, WORDS = "Zebrastripe", "zebraword"

PEOPLE: dict[str, tuple[Role, str | None, str | None] | None] = {
    "nobody": None,
    "technician": (Role.TECHNICIAN, None, "larch"),
    "moderator": (Role.MODERATOR, "ashby", None),
    "staff": (Role.STAFF, "ashby", None),
    "dsl": (Role.DSL, "ashby", None),
    "deputy": (Role.DEPUTY_DSL, "ashby", None),
    "dsl-birch": (Role.DSL, "birch", None),
    "dsl-cedar": (Role.DSL, "cedar", None),
    "lead": (Role.TRUST_LEAD, None, "larch"),
    "lead-opened": (Role.TRUST_LEAD, None, "larch"),
    "dpo": (Role.DPO, None, "larch"),
    "reporting": (Role.REPORTING, None, "larch"),
    "head": (Role.HEAD, "ashby", None),
    "chair": (Role.CHAIR, "ashby", None),
}

CHANGES_WITHOUT_A_FORM = (
    "event.submit_acknowledge", "concern.submit_action_done", "report.submit_read", "record.submit_seen",
    "record.submit_unlock", "staff.submit_link", "staff.submit_grant_end", "academy.submit_switch",
    "device.submit_resend", "device.submit_withdrawal",
    "mis.submit_again", "mis.submit_apply", "mis.submit_undo",
)  # fmt: skip
"""Asked last, in this order, as they change what the others would find. What ends the session comes after them."""


@dataclass(frozen=True)
class World:
    """A box with something of everything at Ashby, and who is who."""

    home: Path
    actors: dict[str, Actor]
    ids: dict[str, str]


def make_world(folder: Path) -> World:
    box = make_box(folder)
    actors = {
        name: box.staff(role, academy_id, trust_id, name)
        for name, at in PEOPLE.items()
        if at is not None
        for role, academy_id, trust_id in [at]
    }
    ids = {"token": "no-such-token", "filename": "portal.css"}
    (box.config.keys / "ca.crt").write_bytes(b"the box's authority")
    pupil = box.pupil("ashby", "Robin", SURNAME)
    locked = box.pupil("ashby", "Kim", f"{SURNAME}-Locked")
    ids |= {"pupil_id": pupil.id, "event_id": box.assessed(account=pupil.id, typed=f"{WORDS} i dont want to go home")}
    dsl, deputy, head = actors["dsl"], actors["deputy"], actors["head"]
    with transaction(box.db):
        set_preview(box.db, ids["event_id"], b"a few grey pixels")
    confirmed = box.assessed(account=pupil.id, typed=f"{WORDS} again")
    here = box.open_as(actors["moderator"])
    moderate_event(here, actors["moderator"], confirmed, Verdict(Severity.SERIOUS, Category.ABUSE), NOW, box.new_id)
    concern = NewConcern("concern-1", Category.ABUSE, Severity.SERIOUS, f"Afraid to go home {WORDS}.")
    open_concern(box.open_as(dsl), dsl, [confirmed], [pupil.id], concern, NOW, box.new_id)
    action = NewAction("action-1", f"Spoke with Robin {WORDS}", dsl.staff_id, date(2026, 11, 24))
    record_action(box.open_as(dsl), dsl, concern.id, action, NOW)
    referral = NewReferral("referral-1", Agency.LOCAL_AUTHORITY, "Telephone", "Duty", "Because", Consent.GIVEN)
    make_referral(box.open_as(dsl), dsl, concern.id, referral, NOW)
    why = "The deputy is her aunt."
    lock_record(box.open_as(dsl), dsl, "pupil", locked.id, [], why, NOW, box.new_id)
    report = NewReport("report-1", "ashby", f"Robin {SURNAME}", f"Came in crying, {WORDS}")
    report_concern(box.open_as(actors["staff"]), actors["staff"], report, NOW, box.new_id)
    entry = NewVaultEntry("entry-1", "ashby", VaultKind.LOW_LEVEL, deputy.staff_id, deputy.name, "Shouted in class.")
    enter_in_vault(box.open_as(head), head, entry, NOW)
    lead = actors["lead-opened"]
    real = datetime.now(UTC)
    open_record(box.open_as(lead), lead, "pupil", pupil.id, "Asked for by the local authority", real, box.new_id)
    (notice_id,) = box.db.conn.execute("SELECT id FROM notice WHERE staff_id = ?", [dsl.staff_id]).fetchone()
    (grant_id,) = box.db.conn.execute("SELECT id FROM staff_grant WHERE staff_id = ?", [actors["staff"].staff_id]).fetchone()  # fmt: skip  # noqa: E501
    ids |= {"concern_id": "concern-1", "action_id": "action-1", "referral_id": "referral-1", "report_id": "report-1"}
    ids |= {"entry_id": "entry-1", "notice_id": notice_id, "grant_id": grant_id, "kind": "pupil", "part_id": locked.id}
    ids |= {"staff_id": actors["staff"].staff_id, "device_id": "ASH-01"}
    make_enrolment_code(box.db, None, "ashby", "Library", "", real, bytes(range(32)))
    (ids["code_id"],) = box.db.conn.execute("SELECT id FROM enrolment_code").fetchone()
    ids |= make_mis(box, dsl, pupil)
    indexer = start_indexing(box.config, box.db, lambda line: None)
    while index_once(indexer, box.db, NOW, lambda line: None):
        pass
    box.db.close()
    return World(folder, actors, ids)


def make_mis(box: Box, dsl: Actor, pupil: people.Pupil) -> dict[str, str]:
    """A dry run, a row that looks like the pupil, and a user name that the DSL has said whose it is."""
    path = box.config.home / "pupils.csv"
    path.write_text(f"surname,forename,dob\n{SURNAME},Robin,01/02/2013\n", encoding="utf-8")
    with transaction(box.db):
        box.db.conn.execute("UPDATE pupil SET born_on = '2013-02-01' WHERE id = ?", [pupil.id])
    for state in (ImportState.TO_APPLY, ImportState.TO_PLAN):
        one = take_file(box.config, box.db, path, "ashby", {}, NOW, state=state)
        run_waiting(box.config, box.db, NOW, lambda line: None)
    (proposal_id,) = box.db.conn.execute("SELECT id FROM mis_proposal").fetchone()
    box.assessed(account="shared-login", typed=f"{WORDS} hello")
    here = box.open_as(dsl)
    claim_account(here, dsl, "ashby", "shared-login", pupil.id, NOW, box.new_id)
    return {"import_id": one.id, "proposal_id": proposal_id, "claim_id": select_claims(here)[0].id}


def address(rule: Rule, ids: dict[str, str]) -> str:
    """The address to ask for: with ids of Ashby's objects, and with what the page needs beside them."""
    path = rule.rule
    for name in rule.arguments:
        # an id that only another part of the portal knows is one that doesn't exist
        path = re.sub(rf"<(\w+:)?{name}>", ids.get(name, "unknown"), path)
    more = {
        "search.show_search": f"?q={WORDS}",
        "concern.show_new_concern": f"?pupil={ids['pupil_id']}",
        "concern.submit_concern": f"?pupil={ids['pupil_id']}",
        "audit.show_audit": f"?pupil={ids['pupil_id']}",
    }
    return path + more.get(rule.endpoint, "")


def routes(rules: Iterator[Rule]) -> list[tuple[str, Rule]]:
    """Every method and rule, what changes nothing first."""
    found = [(method, rule) for rule in rules for method in (rule.methods or set()) & {"GET", "POST"}]

    def order(route: tuple[str, Rule]) -> tuple[int, int, str]:
        method, rule = route
        late = rule.endpoint.split(".")[0] in {"login", "second_factor", "account", "directory"} and method == "POST"
        last = CHANGES_WITHOUT_A_FORM.index(rule.endpoint) + 1 if rule.endpoint in CHANGES_WITHOUT_A_FORM else 0
        return (2 if rule.endpoint == "login.submit_sign_out" else int(late), last, f"{rule.rule} {method}")

    return sorted(found, key=order)


def word_for(response: TestResponse) -> str:
    """What an answer means to the person who asked."""
    target = response.headers.get("Location", "")
    if response.status_code == 302 and target.startswith("/sign-in"):
        return "sign-in"
    if response.status_code == 302 and target.startswith("/records/") and target.endswith("/open"):
        return "ask"
    if response.status_code in (404, 405):
        return "no"
    if response.status_code in (401, 403):
        return "shut"
    text = response.get_data(as_text=True) if response.mimetype.startswith("text/") else ""
    assert response.status_code < 400 or response.status_code in (410, 422), f"{response.request}: {text}"
    # the words that were searched for stand on the page whatever was found
    text = text.replace(f'value="{WORDS}"', "").replace(f"Search: {WORDS}", "").replace(f"“{WORDS}”", "")
    return "yes+" if SURNAME in text or WORDS in text else "yes"


def come_in(visitor: Visitor, config: Config, actor: Actor) -> None:
    """Begin a session as signing in with both factors does, without the second a password costs."""
    db, at = open_system(config.database), datetime.now(UTC)
    token = begin_session(db, actor.staff_id, "password", "127.0.0.1", "a browser", at, second_factor=True)
    db.close()
    visitor.take_token(token)
    visitor.get("/")


def ask_all(world: World, name: str, folder: Path) -> dict[str, str]:
    """One person's answers, on a copy of the box of their own."""
    home = folder / name
    shutil.copytree(world.home, home)
    config = Config(home=home)
    app = create_app(config)
    visitor = Visitor(app)
    answers, inside = {}, False
    for method, rule in routes(app.url_map.iter_rules()):
        path = address(rule, world.ids)
        if name == "nobody":
            visitor.get("/sign-in")
        elif method == "POST" or not inside:
            # a session anew around each change, as some of them end it
            come_in(visitor, config, world.actors[name])
        inside = method == "GET"
        answers[f"{method} {rule.rule}"] = word_for(visitor.get(path) if method == "GET" else visitor.post(path))
    return answers


def make_table(folder: Path) -> str:
    """The whole table as text."""
    world = make_world(folder / "box")
    columns = {name: ask_all(world, name, folder) for name in PEOPLE}
    lines = ["route".ljust(54) + " ".join(name.ljust(max(8, len(name))) for name in PEOPLE)]
    for route in sorted(columns["nobody"], key=lambda one: (one.split(" ")[1], one)):
        cells = (columns[name][route].ljust(max(8, len(name))) for name in PEOPLE)
        lines.append(route.ljust(54) + " ".join(cells))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def test_every_route_answers_each_kind_of_person_as_the_table_says(tmp_path: Path) -> None:
    assert make_table(tmp_path).split("\n") == TABLE.read_text(encoding="utf-8").split("\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        TABLE.write_text(make_table(Path(made)), encoding="utf-8")
    sys.stdout.write(TABLE.read_text(encoding="utf-8"))
