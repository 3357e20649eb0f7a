"""Signing in at the portal: both factors, and what stops those who have neither."""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from flask import Flask

from appliance.safeguarding.access import Actor, Role
from appliance.safeguarding.sign_in import CODE_SECONDS
from appliance.workflow.credentials import code_now, make_recovery_codes
from tests.factories import Box, authenticator_secret, fresh_code
from tests.web.conftest import Visitor, kinds, pages_with_pupils, set_up

SignIn = Callable[[Actor], Visitor]
CONTENT_ROLES = [Role.TRUST_LEAD, Role.DSL, Role.DEPUTY_DSL, Role.MODERATOR, Role.DPO]


# ---- the second factor ----


def test_a_password_alone_opens_no_page(app: Flask, visitor: Visitor, dsl: Actor) -> None:
    assert visitor.give_password(dsl).status_code == 302
    paths = pages_with_pupils(app)
    assert {"/", "/queue", "/pupils", "/concerns", "/search"} <= set(paths)
    for path in paths:
        response = visitor.get(path)
        assert response.status_code == 302, path
        assert response.headers["Location"].startswith("/second-factor?next="), path


def test_a_password_alone_changes_nothing(app: Flask, visitor: Visitor, box: Box, dsl: Actor) -> None:
    visitor.give_password(dsl)
    visitor.get("/second-factor")
    before = box.db.conn.execute("SELECT count(*) FROM audit").fetchone()
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if "POST" in (rule.methods or ()) and view.needs is not None and not hasattr(view, "steps"):  # type: ignore[attr-defined]
            path = rule.rule.replace("<", "").replace(">", "")
            assert visitor.post(path).status_code == 401, path
    assert box.db.conn.execute("SELECT count(*) FROM audit").fetchone() == before


@pytest.mark.parametrize("role", CONTENT_ROLES)
def test_every_role_that_sees_pupils_must_set_up_a_second_factor(visitor: Visitor, box: Box, role: Role) -> None:
    person = box.staff(role, trust_id="larch", authenticator=False)
    visitor.give_password(person)
    assert visitor.get("/").headers["Location"].startswith("/second-factor/set-up")


def test_a_role_without_pupils_may_sign_in_by_password(visitor: Visitor, box: Box) -> None:
    visitor.give_password(box.staff(Role.TECHNICIAN, trust_id="larch", authenticator=False))
    assert visitor.get("/devices").status_code == 200
    assert "Lock" in visitor.get("/account").get_data(as_text=True)


def test_a_role_given_meanwhile_asks_for_the_second_factor_at_the_next_click(visitor: Visitor, box: Box) -> None:
    person = box.staff(Role.TECHNICIAN, trust_id="larch", authenticator=False)
    visitor.give_password(person)
    assert visitor.get("/devices").status_code == 200
    box.db.conn.execute("UPDATE staff_grant SET role = ? WHERE staff_id = ?", [Role.DSL, person.staff_id])
    assert visitor.get("/devices").headers["Location"].startswith("/second-factor/set-up")


def test_a_right_code_leads_on_to_the_page_asked_for(visitor: Visitor, box: Box, dsl: Actor) -> None:
    visitor.give_password(dsl, next="/pupils")
    asked = visitor.get("/pupils").headers["Location"]
    visitor.get(asked)
    response = visitor.post("/second-factor", code=visitor.code(dsl), next="/pupils")
    assert response.headers["Location"] == "/pupils"
    assert visitor.get("/pupils").status_code == 200
    assert kinds(box, "staff:s%") == ["staff:added", "staff:signed_in", "staff:second_factor_given"][1:]


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\tevil", "javascript:x"]
)
def test_no_step_leads_to_a_strange_page(visitor: Visitor, dsl: Actor, target: str) -> None:
    assert visitor.give_password(dsl, next=target).headers["Location"] == "/"
    visitor.get("/second-factor")
    assert visitor.post("/second-factor", code=visitor.code(dsl), next=target).headers["Location"] == "/"
    visitor.get("/account")
    visitor.post("/lock")
    visitor.get("/unlock")
    assert visitor.post("/unlock", code=visitor.code(dsl), next=target).headers["Location"] == "/"


def test_a_code_works_once(app: Flask, visitor: Visitor, box: Box, dsl: Actor) -> None:
    code = visitor.code(dsl)
    visitor.give_password(dsl)
    visitor.get("/second-factor")
    assert visitor.post("/second-factor", code=code).status_code == 302
    over_the_shoulder = Visitor(app)
    over_the_shoulder.give_password(dsl)
    over_the_shoulder.get("/second-factor")
    response = over_the_shoulder.post("/second-factor", code=code)
    assert response.status_code == 401
    assert "has been used already" in response.get_data(as_text=True)
    assert over_the_shoulder.get("/queue").status_code == 302
    assert kinds(box, "staff:second_factor_failed") == ["staff:second_factor_failed"]


@pytest.mark.parametrize("steps_off", [-2, 2])
def test_a_code_of_another_minute_does_not_count(visitor: Visitor, dsl: Actor, steps_off: int) -> None:
    visitor.give_password(dsl)
    visitor.get("/second-factor")
    step = int(datetime.now(UTC).timestamp()) // CODE_SECONDS + steps_off + (1 if steps_off > 0 else 0)
    code = code_now(authenticator_secret(dsl.staff_id), datetime.now(UTC), step)
    assert visitor.post("/second-factor", code=code).status_code == 401


@pytest.mark.parametrize("code", ["", "123", "000000", "abcdef", "１２３４５６", "' OR 1=1 --", "٣" * 6])
def test_nonsense_is_no_code(visitor: Visitor, dsl: Actor, code: str) -> None:
    visitor.give_password(dsl)
    visitor.get("/second-factor")
    assert visitor.post("/second-factor", code=code).status_code == 401
    assert visitor.get("/queue").status_code == 302


def test_a_recovery_code_works_once_in_place_of_the_second_factor(app: Flask, box: Box, dsl: Actor) -> None:
    codes = make_recovery_codes(box.db, dsl.staff_id, datetime.now(UTC), os.urandom)
    first, second = Visitor(app), Visitor(app)
    for visitor, works in ((first, 302), (second, 401)):
        visitor.give_password(dsl)
        visitor.get("/second-factor")
        assert visitor.post("/second-factor", code=codes[0].upper().replace("-", " ")).status_code == works
    kept = [row[0] for row in box.db.conn.execute("SELECT id FROM recovery_code")]
    assert codes[0] not in kept and all(re.fullmatch("[0-9a-f]{64}", one) for one in kept)


def test_another_persons_code_does_not_count(visitor: Visitor, box: Box, dsl: Actor) -> None:
    other = box.staff(Role.DSL, academy_id="birch")
    visitor.give_password(dsl)
    visitor.get("/second-factor")
    assert visitor.post("/second-factor", code=visitor.code(other)).status_code == 401


def test_the_secret_of_an_app_is_not_in_the_database(box: Box, dsl: Actor) -> None:
    secret = authenticator_secret(dsl.staff_id)
    (kept,) = box.db.conn.execute("SELECT secret FROM credential WHERE staff_id = ?", [dsl.staff_id]).fetchone()
    assert secret.encode() not in kept
    (credential_id,) = box.db.conn.execute("SELECT id FROM credential").fetchone()
    assert box.seal.open(credential_id, kept) == secret
    assert box.seal.open("another", kept) is None


# ---- setting up ----


def test_the_first_second_factor_opens_the_session_and_gives_recovery_codes(visitor: Visitor, box: Box) -> None:
    person = box.staff(Role.DSL, academy_id="ashby", authenticator=False)
    visitor.give_password(person)
    page = set_up(visitor, "Work telephone")
    codes = re.findall(r"<code>([a-z2-9]{4}(?:-[a-z2-9]{4}){3})</code>", page)
    assert len(set(codes)) == 10
    assert visitor.get("/queue").status_code == 200
    assert "Work telephone" in visitor.get("/account").get_data(as_text=True)
    assert kinds(box, "credential:added") == ["credential:added"] * 2


def test_who_gave_only_the_password_adds_no_second_factor_beside_the_one_there_is(visitor: Visitor, dsl: Actor) -> None:
    visitor.give_password(dsl)
    visitor.get("/second-factor")
    assert visitor.get("/second-factor/set-up").headers["Location"].startswith("/second-factor?")
    for path in ("/second-factor/set-up", "/second-factor/set-up/passkey/ask", "/second-factor/set-up/passkey"):
        assert visitor.post(path, code="123456").status_code == 401, path
    assert visitor.post("/account/recovery-codes").status_code == 401


def test_a_secret_seen_in_one_session_is_not_confirmed_in_another(app: Flask, box: Box) -> None:
    person = box.staff(Role.DSL, academy_id="ashby", authenticator=False)
    keys = []
    for visitor in (Visitor(app), Visitor(app)):
        visitor.give_password(person)
        page = visitor.get("/second-factor/set-up").get_data(as_text=True)
        keys.append(re.search(r'class="key">([A-Z2-7 ]+)<', page))
    assert keys[0] and keys[1] and keys[0][1] != keys[1][1]


# ---- passkeys ----


@pytest.mark.parametrize("answer", ["", "{}", "[]", '{"rawId": "AAAA", "response": {}}', '{"rawId": 7}', "null"])
def test_a_passkey_answer_that_is_none_is_refused(visitor: Visitor, box: Box, answer: str) -> None:
    visitor.get("/sign-in")
    assert "challenge" in visitor.post("/sign-in/passkey/ask").get_json()
    response = visitor.post("/sign-in/passkey", answer=answer)
    assert response.status_code == 401 and "does not know that passkey" in response.get_json()["error"]
    assert kinds(box, "staff:sign_in_failed") == ["staff:sign_in_failed"]


def test_one_who_asks_for_very_many_challenges_uses_up_only_their_own(app: Flask, box: Box) -> None:
    elsewhere, greedy = Visitor(app, "192.0.2.10"), Visitor(app, "192.0.2.66")
    elsewhere.get("/sign-in")
    elsewhere.post("/sign-in/passkey/ask")
    greedy.get("/sign-in")
    for _ in range(70):
        greedy.post("/sign-in/passkey/ask")
    counts = dict(box.db.conn.execute("SELECT asked_from, count(*) FROM challenge GROUP BY asked_from").fetchall())
    assert counts == {"192.0.2.10": 1, "192.0.2.66": 60}


def test_fresh_codes_of_the_tests_are_the_persons_own(box: Box, dsl: Actor) -> None:
    assert re.fullmatch(r"\d{6}", fresh_code(box.db, dsl.staff_id, authenticator_secret(dsl.staff_id)))
