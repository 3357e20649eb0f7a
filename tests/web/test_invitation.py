"""Accounts are made by a link that works once, for three days; the first one by the box's own link."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask

from appliance.safeguarding.access import Actor, Role
from appliance.store.connection import to_text
from appliance.workflow.credentials import code_now
from appliance.workflow.invite import InvitationError, invite_by_system, invite_first_lead, look_up_invitation
from tests.factories import PASSWORD, Box
from tests.web.conftest import Visitor

NEW = "velvet otter anchor"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def moderator(box: Box) -> Actor:
    return box.staff(Role.MODERATOR, academy_id="ashby", authenticator=False)


def invite(box: Box, person: Actor) -> str:
    return f"/invitation/{invite_by_system(box.db, person.staff_id, datetime.now(UTC))}"


def test_an_invited_person_sets_password_and_second_factor_and_is_in(
    visitor: Visitor, box: Box, moderator: Actor
) -> None:
    link = invite(box, moderator)
    assert moderator.name in visitor.get(link).get_data(as_text=True)
    assert visitor.post(link, password=NEW, again=NEW).status_code == 302
    assert visitor.get("/queue").headers["Location"].startswith("/second-factor/set-up")
    page = visitor.get("/second-factor/set-up").get_data(as_text=True)
    found = re.search(r'class="key">([A-Z2-7 ]+)<', page)
    assert found is not None
    visitor.post("/second-factor/set-up", code=code_now(found[1].replace(" ", ""), datetime.now(UTC)))
    assert visitor.get("/queue").status_code == 200
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE 'invitation:%'")]
    assert kinds == ["invitation:made", "invitation:used"]


def test_a_used_link_sets_nothing(app: Flask, visitor: Visitor, box: Box, moderator: Actor) -> None:
    link, late = invite(box, moderator), Visitor(app)
    late.get(link)
    visitor.get(link)
    visitor.post(link, password=NEW, again=NEW)
    response = late.post(link, password="another long password", again="another long password")
    assert response.status_code == 410 and "used already" in response.get_data(as_text=True)
    assert late.give_password(moderator, "another long password").status_code == 401
    assert late.give_password(moderator, NEW).status_code == 302


def test_a_link_expires_after_three_days(visitor: Visitor, box: Box, moderator: Actor) -> None:
    link = invite(box, moderator)
    visitor.get(link)
    box.db.conn.execute("UPDATE invitation SET expires_at = ?", [to_text(datetime.now(UTC))])
    for response in (visitor.get(link), visitor.post(link, password=NEW, again=NEW)):
        assert response.status_code == 410 and "three days" in response.get_data(as_text=True)
    token = link.rsplit("/", 1)[1]
    with pytest.raises(InvitationError, match="expired"):
        look_up_invitation(box.db, token, datetime.now(UTC) + timedelta(hours=72))


def test_a_newer_link_replaces_the_older(visitor: Visitor, box: Box, moderator: Actor) -> None:
    older, newer = invite(box, moderator), invite(box, moderator)
    assert visitor.get(older).status_code == 410
    assert visitor.get(newer).status_code == 200


def test_a_made_up_link_is_not_known(visitor: Visitor, box: Box, moderator: Actor) -> None:
    link = invite(box, moderator)
    assert visitor.get("/invitation/made-up").status_code == 404
    assert visitor.get(link.replace("/invitation/", "/set-up/")).status_code == 404
    (kept,) = box.db.conn.execute("SELECT id FROM invitation").fetchone()
    assert kept not in link and visitor.get(f"/invitation/{kept}").status_code == 404


@pytest.mark.parametrize(
    ("password", "again", "word"),
    [
        ("too short", "too short", "at least 12"),
        (NEW, "something else", "not the same"),
        ("Password1234", "Password1234", "tried first"),
    ],
)
def test_a_bad_password_does_not_use_the_link_up(
    visitor: Visitor, box: Box, moderator: Actor, password: str, again: str, word: str
) -> None:
    link = invite(box, moderator)
    visitor.get(link)
    response = visitor.post(link, password=password, again=again)
    assert response.status_code == 422 and word in response.get_data(as_text=True)
    assert visitor.post(link, password=NEW, again=NEW).status_code == 302


def test_a_link_for_somebody_who_had_an_account_makes_it_anew(app: Flask, box: Box) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    before, after = Visitor(app), Visitor(app)
    before.sign_in(dsl)
    link = invite(box, dsl)
    after.get(link)
    after.post(link, password=NEW, again=NEW)
    assert before.get("/queue").headers["Location"].startswith("/sign-in")
    assert before.give_password(dsl, PASSWORD).status_code == 401
    assert after.get("/queue").headers["Location"].startswith("/second-factor/set-up")


def test_a_link_of_a_closed_account_is_worth_nothing(visitor: Visitor, box: Box, moderator: Actor) -> None:
    link = invite(box, moderator)
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-23' WHERE id = ?", [moderator.staff_id])
    assert visitor.get(link).status_code == 410


# ---- the box's first link ----

LEAD = {
    "trust": "Larch Trust",
    "name": "Robin Firstlead",
    "email": "robin@larch.example",
    "password": NEW,
    "again": NEW,
}


def empty(box: Box) -> None:
    """A box as it is at its first start: no trust, no academy, nobody."""
    for table in ("device", "academy", "trust"):
        box.db.conn.execute(f"DELETE FROM {table}")


def test_the_first_link_makes_the_trust_and_its_lead(visitor: Visitor, box: Box) -> None:
    empty(box)
    link = f"/set-up/{invite_first_lead(box.db, datetime.now(UTC))}"
    assert visitor.get(link).status_code == 200
    assert visitor.post(link, **{**LEAD, "trust": ""}).status_code == 422
    assert visitor.post(link, **LEAD).status_code == 302
    assert visitor.get("/").headers["Location"].startswith("/second-factor/set-up")
    grant = box.db.conn.execute(
        "SELECT g.role, t.name FROM staff_grant g JOIN trust t ON t.id = g.trust_id JOIN staff s ON s.id = g.staff_id"
        " WHERE s.email = 'robin@larch.example'"
    ).fetchone()
    assert grant == (Role.TRUST_LEAD, "Larch Trust")
    assert visitor.get(link).status_code == 410
    assert invite_first_lead(box.db, datetime.now(UTC)) is None


def test_the_first_link_is_worth_nothing_once_there_is_somebody(visitor: Visitor, box: Box) -> None:
    link = f"/set-up/{invite_first_lead(box.db, datetime.now(UTC), 'larch')}"
    assert "Larch Trust" in visitor.get(link).text
    box.staff(Role.TRUST_LEAD, trust_id="larch")
    assert visitor.post(link, **LEAD).status_code == 410
    assert box.db.conn.execute("SELECT count(*) FROM staff").fetchone() == (1,)


def run(box: Box, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"TRUSTKEEP_HOME": str(box.config.home), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "appliance", "setup-link", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def test_the_command_line_prints_the_first_link_and_later_one_for_a_person(visitor: Visitor, box: Box) -> None:
    which = run(box)
    assert which.returncode == 2 and "--trust: larch (Larch Trust); maple (Maple Trust)" in which.stderr
    for trust_id, name in (("larch", "Larch Trust"), ("maple", "Maple Trust")):
        first = run(box, "--trust", trust_id)
        assert first.returncode == 0
        assert name in visitor.get(first.stdout.strip().removeprefix(box.config.portal_url)).text
    dsl = box.staff(Role.TRUST_LEAD, trust_id="larch")
    assert run(box, "--trust", "larch").returncode == 1 and run(box, "--trust", "maple").returncode == 0
    assert run(box, "--for", "nobody@school.example").returncode == 1
    again = run(box, "--for", f"{dsl.staff_id}@school.example")
    assert visitor.get(again.stdout.strip().removeprefix(box.config.portal_url)).status_code == 200
