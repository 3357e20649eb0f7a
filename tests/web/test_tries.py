"""Tries: whoever guesses waits, and nobody who is in their right is held out by it."""

from collections.abc import Callable

from flask import Flask

from appliance.safeguarding.access import Actor, Role
from appliance.safeguarding.sign_in import HERE, SESSION_TRIES
from tests.factories import Box
from tests.web.conftest import Visitor, kinds

SignIn = Callable[[Actor], Visitor]


def test_guessing_a_password_is_held_back_even_when_the_guess_is_right(visitor: Visitor, dsl: Actor) -> None:
    for _ in range(HERE.free):
        assert visitor.give_password(dsl, "not the password").status_code == 401
    response = visitor.give_password(dsl)
    assert response.status_code == 429
    page = response.get_data(as_text=True)
    assert "Wait" in page and "Nothing is locked" in page
    assert visitor.get("/second-factor").headers["Location"].startswith("/sign-in")


def test_an_unknown_address_is_held_back_like_a_known_one(visitor: Visitor, box: Box) -> None:
    for number in range(HERE.free + 1):
        visitor.get("/sign-in")
        response = visitor.post("/sign-in", email="nobody@school.example", password="not the password")
        assert response.status_code == (401 if number < HERE.free else 429)


def test_guesses_from_one_address_keep_nobody_out_elsewhere(app: Flask, box: Box, dsl: Actor) -> None:
    attacker, owner = Visitor(app, "192.0.2.66"), Visitor(app, "192.0.2.10")
    while attacker.give_password(dsl, "not the password").status_code != 429:
        pass
    assert owner.sign_in(dsl).status_code == 302
    assert owner.get("/queue").status_code == 200


def test_guesses_from_the_same_address_keep_nobody_out_of_their_own_computer(app: Flask, dsl: Actor) -> None:
    owner, attacker = Visitor(app, "192.0.2.10"), Visitor(app, "192.0.2.10")
    owner.sign_in(dsl)
    owner.get("/account")
    owner.post("/sign-out")
    while attacker.give_password(dsl, "not the password").status_code != 429:
        pass
    assert attacker.give_password(dsl).status_code == 429
    assert owner.give_password(dsl).status_code == 302


def test_a_device_cookie_of_somebody_else_is_worth_nothing(app: Flask, box: Box, dsl: Actor) -> None:
    insider = Visitor(app)
    insider.sign_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    insider.get("/account")
    insider.post("/sign-out")
    for _ in range(HERE.free):
        assert insider.give_password(dsl, "not the password").status_code == 401
    assert insider.give_password(dsl).status_code == 429


def test_trying_one_password_on_many_accounts_is_held_back(visitor: Visitor, box: Box) -> None:
    codes = []
    for number in range(60):
        visitor.get("/sign-in")
        codes.append(visitor.post("/sign-in", email=f"s{number}@school.example", password="Autumn2026!!").status_code)
    assert codes == [401] * 50 + [429] * 10


def test_guessing_codes_ends_the_session_and_is_held_back(app: Flask, box: Box, dsl: Actor) -> None:
    visitor = Visitor(app)
    visitor.give_password(dsl)
    visitor.get("/second-factor")
    answers = [visitor.post("/second-factor", code=f"00000{number}").status_code for number in range(HERE.free + 1)]
    assert answers == [401] * HERE.free + [429]
    # after the wait the next wrong one ends it
    box.db.conn.execute("DELETE FROM attempt")
    for _ in range(SESSION_TRIES - HERE.free):
        response = visitor.post("/second-factor", code="000009")
    assert "You were signed out" in response.get_data(as_text=True)
    assert visitor.get("/second-factor").headers["Location"].startswith("/sign-in")
    assert kinds(box, "session:ended") == ["session:ended"]


def test_a_hundred_at_once_count_as_a_hundred(app: Flask, box: Box, dsl: Actor) -> None:
    from concurrent.futures import ThreadPoolExecutor

    visitors = [Visitor(app) for _ in range(12)]
    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(lambda one: one.give_password(dsl, "not the password").status_code, visitors))
    assert sorted(codes) == [401] * HERE.free + [429] * (len(visitors) - HERE.free)


def test_who_sits_in_the_same_ipv6_network_does_not_keep_a_dsl_out(app: Flask, dsl: Actor) -> None:
    attacker, owner = Visitor(app, "2001:db8:1:2::bad"), Visitor(app, "2001:db8:1:2::600d")
    while attacker.give_password(dsl, "not the password").status_code != 429:
        pass
    assert owner.sign_in(dsl).status_code == 302
    assert owner.get("/queue").status_code == 200


def test_one_who_roams_through_a_network_is_held_back_as_one(app: Flask, box: Box) -> None:
    codes = []
    for number in range(60):
        visitor = Visitor(app, f"2001:db8:1:2::{number:x}")
        visitor.get("/sign-in")
        fields = {"email": f"s{number}@school.example", "password": "Autumn2026!!"}
        codes.append(visitor.post("/sign-in", **fields).status_code)
    assert codes == [401] * 50 + [429] * 10


def test_who_fails_without_end_does_not_fill_the_audit_and_a_passkey_is_looked_at_all_the_same(
    visitor: Visitor, box: Box
) -> None:
    visitor.get("/sign-in")
    codes = {visitor.post("/sign-in/passkey", answer="{}").status_code for _ in range(60)}
    assert codes == {401}
    assert kinds(box, "staff:sign_in_failed") == ["staff:sign_in_failed"] * HERE.free
