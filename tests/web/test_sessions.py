"""Sessions: what opens one, what locks and ends it, and changing how one signs in."""

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from appliance.safeguarding.access import ROLES, Actor, NotAllowedError, Role
from appliance.store import sessions
from appliance.workflow.credentials import make_recovery_codes
from appliance.workflow.sign_in import Visit, answer_password, begin_session
from tests.factories import PASSWORD, Box
from tests.web.conftest import Visitor, age_session, kinds, pages_with_pupils, set_up

SignIn = Callable[[Actor], Visitor]


# ---- sessions ----


def cookie(visitor: Visitor) -> str:
    found = visitor._client.get_cookie("__Host-trustkeep", domain="localhost")
    assert found is not None
    return found.value


def test_a_cookie_stolen_before_sign_out_is_worth_nothing_after(app: Flask, signed_in: SignIn, dsl: Actor) -> None:
    visitor, thief = signed_in(dsl), Visitor(app)
    stolen = cookie(visitor)
    thief._client.set_cookie("__Host-trustkeep", stolen, domain="localhost", secure=True)
    assert thief.get("/queue").status_code == 200
    visitor.get("/account")
    visitor.post("/sign-out")
    assert thief.get("/queue").headers["Location"].startswith("/sign-in")


def test_every_step_up_makes_what_was_known_before_worthless(app: Flask, box: Box, dsl: Actor) -> None:
    visitor, thief = Visitor(app), Visitor(app)
    visitor.give_password(dsl)
    halfway = cookie(visitor)
    visitor.get("/second-factor")
    visitor.post("/second-factor", code=visitor.code(dsl))
    assert visitor.get("/queue").status_code == 200
    thief._client.set_cookie("__Host-trustkeep", halfway, domain="localhost", secure=True)
    assert thief.get("/queue").headers["Location"].startswith("/sign-in")
    before = cookie(visitor)
    visitor.get("/account")
    visitor.post("/lock")
    visitor.get("/unlock")
    assert visitor.post("/unlock", code=visitor.code(dsl)).status_code == 302
    thief._client.set_cookie("__Host-trustkeep", before, domain="localhost", secure=True)
    assert thief.get("/queue").headers["Location"].startswith("/sign-in")
    assert visitor.get("/queue").status_code == 200


def test_the_cookie_holds_a_token_and_the_database_only_its_hash(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    visitor = signed_in(dsl)
    with visitor._client.session_transaction(base_url="https://localhost") as kept:
        token = kept["token"]
        assert set(kept) <= {"token", "csrf_token"}
    rows = box.db.conn.execute("SELECT * FROM session").fetchall()
    assert token not in json.dumps([[str(value) for value in row] for row in rows])


def test_a_session_locks_when_idle_and_the_box_refuses_until_unlocked(
    app: Flask, signed_in: SignIn, box: Box, dsl: Actor
) -> None:
    visitor = signed_in(dsl)
    age_session(box, "seen_at", timedelta(minutes=15))
    for path in pages_with_pupils(app):
        assert visitor.get(path).headers["Location"].startswith("/unlock?next="), path
    page = visitor.get("/unlock").get_data(as_text=True)
    assert "Locked" in page and "Queue" not in page
    assert visitor.post("/account/sign-out-everywhere").status_code == 401
    assert visitor.post("/awake").status_code == 401
    assert visitor.post("/unlock", code="000000").status_code == 401
    assert visitor.post("/unlock", password=PASSWORD).status_code == 401
    assert visitor.post("/unlock", code=visitor.code(dsl), next="/pupils").headers["Location"] == "/pupils"
    assert visitor.get("/pupils").status_code == 200
    assert kinds(box, "staff:%locked") == ["staff:locked", "staff:unlocked"]


def test_work_on_a_page_keeps_the_session_from_locking(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    visitor = signed_in(dsl)
    visitor.get("/account")
    age_session(box, "seen_at", timedelta(minutes=14))
    assert visitor.post("/awake").status_code == 204
    (seen_at,) = box.db.conn.execute("SELECT seen_at FROM session WHERE ended_at IS NULL").fetchone()
    assert datetime.now(UTC) - datetime.fromisoformat(seen_at) < timedelta(minutes=1)


def test_a_session_ends_after_a_day_however_busy(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    visitor = signed_in(dsl)
    age_session(box, "begun_at", timedelta(hours=10))
    assert visitor.get("/queue").headers["Location"].startswith("/sign-in")
    assert kinds(box, "session:ended") == ["session:ended"]


def test_one_without_a_second_factor_unlocks_by_password(visitor: Visitor, box: Box) -> None:
    person = box.staff(Role.TECHNICIAN, trust_id="larch", authenticator=False)
    visitor.give_password(person)
    visitor.get("/account")
    visitor.post("/lock")
    visitor.get("/unlock")
    assert visitor.post("/unlock", password="not the password").status_code == 401
    assert visitor.get("/devices").status_code == 302
    assert visitor.post("/unlock", password=PASSWORD).status_code == 302
    assert visitor.get("/devices").status_code == 200


def test_signing_out_everywhere_stops_the_other_browser_at_its_next_click(signed_in: SignIn, dsl: Actor) -> None:
    here, there = signed_in(dsl), signed_in(dsl)
    here.get("/account")
    here.post("/account/sign-out-everywhere")
    for visitor in (here, there):
        assert visitor.get("/queue").headers["Location"].startswith("/sign-in")


def test_one_session_is_ended_by_its_owner_only(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    here, there = signed_in(dsl), signed_in(dsl)
    other = signed_in(box.staff(Role.DSL, academy_id="ashby"))
    page = here.get("/account").get_data(as_text=True)
    (path,) = re.findall(r'action="(/account/sessions/[0-9a-f]+/end)"', page)
    other.get("/account")
    assert other.post(path).status_code == 404
    assert there.get("/queue").status_code == 200
    assert here.post(path).status_code == 302
    assert there.get("/queue").status_code == 302


def test_signing_in_again_ends_the_session_before(visitor: Visitor, box: Box, dsl: Actor) -> None:
    visitor.sign_in(dsl)
    visitor.sign_in(dsl)
    open_ones = sessions.select_sessions(box.db, dsl.staff_id, datetime.now(UTC) - timedelta(days=1))
    assert len(open_ones) == 1


def test_what_a_directory_vouches_for_counts_as_both_factors_only_when_it_says_so(box: Box, dsl: Actor) -> None:
    for vouched in (False, True):
        token = begin_session(box.db, dsl.staff_id, "oidc", "192.0.2.1", "a browser", datetime.now(UTC), vouched)
        assert len(token) >= 43
    given = box.db.conn.execute("SELECT second_factor_at IS NOT NULL FROM session ORDER BY begun_at").fetchall()
    assert given == [(0,), (1,)]


def test_every_role_shown_on_the_account_page_can_open_it(app: Flask, box: Box) -> None:
    for role in ROLES:
        visitor = Visitor(app)
        visitor.sign_in(box.staff(role, trust_id="larch"))
        assert visitor.get("/account").status_code == 200, role


def provider_session(visitor: Visitor, box: Box, person: Actor) -> None:
    """Sign in as through a provider whose second factor counts."""
    at = datetime.now(UTC)
    visitor.take_token(begin_session(box.db, person.staff_id, "oidc", "127.0.0.1", "a browser", at, second_factor=True))


@pytest.mark.parametrize("how", ["idle", "locked"])
def test_a_password_alone_unlocks_nothing_for_who_came_by_the_directorys_second_factor(
    visitor: Visitor, box: Box, how: str
) -> None:
    person = box.staff(Role.DSL, academy_id="ashby", authenticator=False)
    provider_session(visitor, box, person)
    assert "there is nothing to unlock with" in visitor.get("/queue").text
    if how == "idle":
        age_session(box, "seen_at", timedelta(minutes=15))
    else:
        visitor.post("/lock")
    assert visitor.post("/unlock", password=PASSWORD).headers["Location"].startswith("/sign-in")
    for path in ("/queue", "/unlock", "/second-factor/set-up"):
        assert visitor.get(path).headers["Location"].startswith("/sign-in"), path


def test_who_came_by_the_directorys_second_factor_proves_it_anew_by_signing_in(visitor: Visitor, box: Box) -> None:
    person = box.staff(Role.DSL, academy_id="ashby", authenticator=False)
    provider_session(visitor, box, person)
    assert visitor.get("/second-factor/set-up").status_code == 200
    age_session(box, "proved_at", timedelta(minutes=11))
    for path in ("/second-factor/set-up", "/unlock"):
        assert visitor.get(path).headers["Location"].startswith("/sign-in?next="), path
    assert visitor.post("/unlock", password=PASSWORD).headers["Location"].startswith("/sign-in")
    assert visitor.get("/queue").status_code == 200
    found = sessions.select_sessions(box.db, person.staff_id, datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(NotAllowedError):
        answer_password(box.db, found[0], PASSWORD, Visit("127.0.0.1", ""), datetime.now(UTC), box.new_id)


def test_a_second_factor_that_was_removed_opens_no_role_that_came_later(signed_in: SignIn, box: Box) -> None:
    person = box.staff(Role.STAFF, academy_id="ashby")
    visitor = signed_in(person)
    (only,) = box.db.conn.execute("SELECT id FROM credential").fetchone()
    visitor.get("/account")
    assert visitor.post(f"/account/second-factors/{only}/remove").status_code == 302
    box.db.conn.execute("UPDATE staff_grant SET role = ? WHERE staff_id = ?", [Role.DSL, person.staff_id])
    assert visitor.get("/queue").headers["Location"].startswith("/second-factor/set-up")
    age_session(box, "seen_at", timedelta(minutes=15))
    assert visitor.get("/queue").headers["Location"].startswith("/sign-in")
    assert visitor.post("/unlock", password=PASSWORD).status_code in (302, 400)
    assert visitor.get("/queue").headers["Location"].startswith("/sign-in")


# ---- the account page ----


def test_the_last_second_factor_is_not_removed_where_one_is_needed(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    visitor = signed_in(dsl)
    (only,) = box.db.conn.execute("SELECT id FROM credential").fetchone()
    visitor.get("/account")
    visitor.post(f"/account/second-factors/{only}/remove")
    assert "your only second factor" in visitor.get("/account").get_data(as_text=True)
    set_up(visitor)
    visitor.get("/account")
    visitor.post(f"/account/second-factors/{only}/remove")
    assert box.db.conn.execute("SELECT 1 FROM credential WHERE id = ?", [only]).fetchone() is None
    assert kinds(box, "credential:removed") == ["credential:removed"]


def test_a_second_factor_of_somebody_else_is_not_removed(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    other = box.staff(Role.DSL, academy_id="ashby")
    box.give_authenticator(other.staff_id)
    (theirs,) = box.db.conn.execute("SELECT id FROM credential WHERE staff_id = ? LIMIT 1", [other.staff_id]).fetchone()
    visitor = signed_in(dsl)
    visitor.get("/account")
    assert visitor.post(f"/account/second-factors/{theirs}/remove").status_code == 404


def test_ways_of_signing_in_are_changed_only_after_proving_oneself_again(
    signed_in: SignIn, box: Box, dsl: Actor
) -> None:
    visitor = signed_in(dsl)
    box.give_authenticator(dsl.staff_id)
    (one,) = box.db.conn.execute("SELECT id FROM credential LIMIT 1").fetchone()
    age_session(box, "proved_at", timedelta(minutes=10))
    for path in ("/second-factor/set-up", "/account/recovery-codes"):
        assert visitor.get(path).headers["Location"].startswith("/unlock?next="), path
    visitor.get("/account")
    for path in (f"/account/second-factors/{one}/remove", "/account/password", "/account/recovery-codes"):
        assert visitor.post(path).headers["Location"].startswith("/unlock?next="), path
    assert visitor.post("/second-factor/set-up/passkey/ask").status_code == 403
    assert box.db.conn.execute("SELECT count(*) FROM credential").fetchone() == (2,)
    visitor.get("/unlock")
    visitor.post("/unlock", code=visitor.code(dsl))
    assert visitor.get("/account/recovery-codes").status_code == 200


def test_a_changed_password_signs_the_other_browsers_out(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    here, there = signed_in(dsl), signed_in(dsl)
    fields = {"old": PASSWORD, "new": "velvet otter anchor", "again": "velvet otter anchor"}
    here.get("/account")
    for wrong in (
        {"old": "not it at all"},
        {"again": "something else"},
        {"new": "Password1234", "again": "Password1234"},
    ):
        assert here.post("/account/password", **{**fields, **wrong}).status_code == 422
    assert here.post("/account/password", **fields).status_code == 302
    assert here.get("/queue").status_code == 200
    assert there.get("/queue").status_code == 302
    assert there.give_password(dsl).status_code == 401
    assert there.give_password(dsl, "velvet otter anchor").status_code == 302


def test_new_recovery_codes_replace_the_old(signed_in: SignIn, box: Box, dsl: Actor) -> None:
    old = make_recovery_codes(box.db, dsl.staff_id, datetime.now(UTC), os.urandom)
    visitor = signed_in(dsl)
    visitor.get("/account/recovery-codes")
    page = visitor.post("/account/recovery-codes").get_data(as_text=True)
    assert old[0] not in page and len(re.findall(r"<code>[a-z2-9-]{19}</code>", page)) == 10
    visitor.post("/lock")
    visitor.get("/unlock")
    assert visitor.post("/unlock", code=old[0]).status_code == 401


# ---- passkeys: what can be refused without one (the rest is in tests/test_passkeys.py) ----


def test_a_password_changes_together_with_the_end_of_other_sessions_or_not_at_all(
    signed_in: SignIn, box: Box, dsl: Actor
) -> None:
    here, there = signed_in(dsl), signed_in(dsl)
    box.db.conn.execute(
        "CREATE TRIGGER broken BEFORE UPDATE OF ended_at ON session BEGIN SELECT RAISE(ABORT, 'a full disk'); END"
    )
    here.get("/account")
    new = {"old": PASSWORD, "new": "velvet otter anchor", "again": "velvet otter anchor"}
    assert here.post("/account/password", **new).status_code == 500
    box.db.conn.execute("DROP TRIGGER broken")
    assert kinds(box, "password:changed") == [] and there.get("/queue").status_code == 200
    assert here.post("/account/password", **new).status_code == 302
    assert there.get("/queue").status_code == 302
