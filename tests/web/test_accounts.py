"""Other people's accounts: links, roles, switching off; each with fresh proof, within reach, and seen by a second."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from appliance.notify.email import MailServer
from appliance.notify.notice import NoticeMail, build_notice_email
from appliance.safeguarding.access import Actor, Role
from appliance.safeguarding.notice import NoticeKind
from appliance.store import notices, people
from appliance.store.connection import to_text
from appliance.workflow.invite import invite_by_system
from tests.factories import NOW, Box
from tests.web.conftest import Visitor, kinds

SignIn = Callable[[Actor], Visitor]
PASSWORD = "purple tractor window lamp"


@pytest.fixture
def lead(box: Box) -> Actor:
    return box.staff(Role.TRUST_LEAD, trust_id="larch", name="Lou Lead")


def told(box: Box) -> list[tuple[str, str, str]]:
    """Who is told what about whom."""
    return sorted(box.db.conn.execute("SELECT staff_id, kind, subject FROM notice").fetchall())


def link_on(page: str) -> str:
    found = re.search(r"https://[^<\s]+(/invitation/[^<\s]+)", page)
    assert found is not None
    return found[1]


def test_a_dsl_who_made_the_account_of_the_later_head_does_not_reach_the_vault(
    signed_in: SignIn, app: Flask, box: Box, dsl: Actor, lead: Actor
) -> None:
    keeper, giver, thief, head = signed_in(dsl), signed_in(lead), Visitor(app), Visitor(app)
    keeper.get("/staff/new")
    fields = {"name": "Hedda Newhead", "email": "hedda@school.example", "place": "academy:ashby"}
    link = link_on(keeper.post("/staff/new", role="staff", **fields).text)
    thief.get(link)
    assert thief.post(link, password=PASSWORD, again=PASSWORD).status_code == 302
    hedda = people.get_staff_by_email(box.db, "hedda@school.example")
    assert hedda is not None and thief.get("/").status_code == 200
    giver.get(f"/staff/{hedda.id}")
    page = giver.post(f"/staff/{hedda.id}/grants", role="head", place="academy:ashby")
    assert page.status_code == 200 and "must make their account anew" in page.text
    assert thief.get("/vault").headers["Location"].startswith("/sign-in")
    thief.get("/sign-in")
    assert thief.post("/sign-in", email=hedda.email, password=PASSWORD).status_code == 401
    new = link_on(page.text)
    head.get(new)
    assert head.post(new, password="another fine long one", again="another fine long one").status_code == 302
    assert head.get("/vault").headers["Location"].startswith("/second-factor/set-up")


# ---- fresh proof, and somebody who is told ----


def test_roles_links_and_switches_ask_for_fresh_proof(signed_in: SignIn, box: Box, dsl: Actor, lead: Actor) -> None:
    visitor, path = signed_in(lead), f"/staff/{dsl.staff_id}"
    visitor.get(path)
    stale = to_text(datetime.now(UTC) - timedelta(minutes=11))
    box.db.conn.execute("UPDATE session SET proved_at = ?", [stale])
    before = kinds(box)
    role = {"role": "head", "place": "academy:birch"}
    for address, fields in (
        (f"{path}/link", {}),
        (f"{path}/grants", role),
        (f"{path}/sign-out", {}),
        (f"{path}/switch", {"to": "off", "sure": "yes"}),
        ("/staff/new", {**role, "name": "Pat Puppet", "email": "pat@school.example"}),
    ):
        asked = visitor.post(address, **fields)
        assert asked.status_code == 302 and asked.headers["Location"].startswith("/unlock?next="), address
    assert kinds(box) == before


def test_a_link_into_a_used_account_tells_its_person_and_another_lead(
    signed_in: SignIn, box: Box, dsl: Actor, lead: Actor
) -> None:
    other, visitor = box.staff(Role.TRUST_LEAD, trust_id="larch", name="Olu Other"), signed_in(lead)
    visitor.get(f"/staff/{dsl.staff_id}")
    assert visitor.post(f"/staff/{dsl.staff_id}/link").status_code == 200
    about = ("account:link", f"staff:{dsl.staff_id}")
    assert told(box) == sorted([(dsl.staff_id, *about), (other.staff_id, *about)])
    page = signed_in(other).get("/").text
    assert f"Lou Lead made a new sign-in link for the account of {dsl.name}" in page
    assert "sign-in link for the account of you" in signed_in(dsl).get("/").text


@pytest.mark.parametrize("role", ["head", "dsl"])
def test_a_lead_who_makes_a_puppet_is_seen_by_the_head(signed_in: SignIn, box: Box, lead: Actor, role: str) -> None:
    head, visitor = box.staff(Role.HEAD, academy_id="ashby"), signed_in(lead)
    visitor.get("/staff/new")
    fields = {"name": "Pat Puppet", "email": "pat@school.example", "place": "academy:ashby"}
    assert visitor.post("/staff/new", role=role, **fields).status_code == 200
    puppet = people.get_staff_by_email(box.db, "pat@school.example")
    assert puppet is not None and (head.staff_id, "account:role", f"staff:{puppet.id}") in told(box)
    assert "Lou Lead gave a role that opens records" in signed_in(head).get("/").text


def test_a_role_or_link_that_opens_no_record_tells_nobody(signed_in: SignIn, box: Box, lead: Actor) -> None:
    staff, visitor = box.staff(Role.STAFF, academy_id="ashby"), signed_in(lead)
    box.staff(Role.HEAD, academy_id="ashby")
    visitor.get(f"/staff/{staff.staff_id}")
    visitor.post(f"/staff/{staff.staff_id}/link")
    visitor.post(f"/staff/{staff.staff_id}/grants", role="reporting", place="trust:larch")
    assert told(box) == []


def test_the_mail_names_who_did_it_and_whose_account_it_is_and_no_child(box: Box, dsl: Actor, lead: Actor) -> None:
    server = MailServer("mail.example", 25, "box@school.example", "trustkeep.local")
    for kind in (NoticeKind.ROLE_GIVEN, NoticeKind.LINK_MADE, NoticeKind.SWITCHED_OFF, NoticeKind.SWITCHED_ON):
        mail = NoticeMail("1", kind, "Olu Other", "olu@school.example", "Ashby", lead.name, dsl.name)
        message = build_notice_email(server, mail, "https://box/#notices", NOW)
        text = message.get_content()
        assert dsl.name in message["Subject"] and lead.name in text and dsl.name in text
        assert "{" not in text and "another safeguarding lead" in text


# ---- switching off ----


def test_an_account_is_switched_off_with_its_links_and_on_again(
    signed_in: SignIn, app: Flask, box: Box, dsl: Actor, lead: Actor
) -> None:
    theirs, visitor, path = signed_in(dsl), signed_in(lead), f"/staff/{dsl.staff_id}"
    link = f"/invitation/{invite_by_system(box.db, dsl.staff_id, datetime.now(UTC))}"
    visitor.get(path)
    visitor.post(f"{path}/switch", to="off")
    assert theirs.get("/queue").status_code == 200, "nothing happens unconfirmed"
    assert visitor.post(f"{path}/switch", to="off", sure="yes").status_code == 302
    assert theirs.get("/queue").headers["Location"].startswith("/sign-in")
    assert theirs.give_password(dsl).status_code == 401
    assert Visitor(app).get(link).status_code == 410
    page = visitor.get(path).text
    assert "switched off" in page and f'action="{path}/link"' not in page and f'action="{path}/grants"' not in page
    assert "switched off" in visitor.get("/staff").text
    assert visitor.post(f"{path}/switch", to="on", sure="yes").status_code == 302
    assert theirs.sign_in(dsl).status_code == 302 and theirs.get("/queue").status_code == 200
    assert Visitor(app).get(link).status_code == 410
    assert kinds(box, "staff:switched%") == ["staff:switched_off", "staff:switched_on"]


def test_a_lead_signs_a_person_out_everywhere(signed_in: SignIn, box: Box, dsl: Actor, lead: Actor) -> None:
    here, there, visitor = signed_in(dsl), signed_in(dsl), signed_in(lead)
    visitor.get(f"/staff/{dsl.staff_id}")
    assert visitor.post(f"/staff/{dsl.staff_id}/sign-out").status_code == 302
    for one in (here, there):
        assert one.get("/queue").headers["Location"].startswith("/sign-in")
    ended = box.db.conn.execute("SELECT actor_id, subject FROM audit WHERE kind = 'session:ended'").fetchall()
    assert ended == [(lead.staff_id, f"staff:{dsl.staff_id}")]


def test_nobody_switches_off_or_signs_out_beyond_their_reach(
    signed_in: SignIn, box: Box, dsl: Actor, lead: Actor
) -> None:
    far, mixed = box.staff(Role.DSL, academy_id="cedar"), box.staff(Role.MODERATOR, trust_id="maple")
    box.db.conn.execute(
        "INSERT INTO staff_grant (id, staff_id, role, academy_id, starts_at) VALUES ('more', ?, 'staff', 'ashby', ?)",
        [mixed.staff_id, to_text(NOW)],
    )
    for by, person in ((lead, far), (lead, mixed), (lead, lead), (dsl, lead), (dsl, dsl)):
        visitor = signed_in(by)
        visitor.get("/staff")
        for what in ("sign-out", "switch", "link"):
            response = visitor.post(f"/staff/{person.staff_id}/{what}", to="off", sure="yes")
            assert response.status_code == 404, (by.name, person.name, what)
    assert kinds(box, "staff:switched%") == []


# ---- several trusts ----


def test_a_lead_gives_a_role_to_a_person_of_another_trust(signed_in: SignIn, box: Box, lead: Actor) -> None:
    person, visitor = box.staff(Role.MODERATOR, trust_id="maple", name="Mo Maple"), signed_in(lead)
    visitor.get("/staff/new")
    fields = {"email": f"{person.staff_id}@school.example", "role": "moderator", "place": "trust:larch"}
    wrong = visitor.post("/staff/new", name="Another Name", **fields)
    assert wrong.status_code == 422 and "under another name" in wrong.text and "Mo Maple" not in wrong.text
    given = visitor.post("/staff/new", name="Mo Maple", **fields)
    assert given.headers["Location"] == f"/staff/{person.staff_id}"
    assert "the whole of" not in visitor.get(given.headers["Location"]).text.lower().split("<form")[0]
    assert len(box.actor(person.staff_id).grants) == 1, "it counts from now on, not before"
    assert len(people.get_actor(box.db, person.staff_id, datetime.now(UTC)).grants) == 2  # type: ignore[union-attr]


def test_notices_about_accounts_are_seen_and_put_away(signed_in: SignIn, box: Box, dsl: Actor, lead: Actor) -> None:
    visitor = signed_in(lead)
    visitor.get(f"/staff/{dsl.staff_id}")
    visitor.post(f"/staff/{dsl.staff_id}/link")
    (one,) = notices.select_unseen(box.db, dsl.staff_id)
    theirs = signed_in(dsl)
    theirs.get("/")
    assert theirs.post(f"/notices/{one.id}/seen").status_code == 302
    assert notices.select_unseen(box.db, dsl.staff_id) == []
