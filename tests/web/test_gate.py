"""The gate: closed until opened, rights read fresh, and what one may not see does not exist."""

from collections.abc import Callable
from io import BytesIO

import pytest
from flask import Flask
from itsdangerous import TimestampSigner, URLSafeTimedSerializer

from appliance.safeguarding.access import Actor, Role
from appliance.safeguarding.event import EventState
from appliance.web.app import create_app
from appliance.web.gate import UndeclaredViewError, check_every_view
from tests.factories import Box
from tests.web.conftest import Visitor

SignIn = Callable[[Actor], Visitor]


def test_a_view_without_its_mark_keeps_the_portal_from_starting(app: Flask) -> None:
    app.view_functions["stray"] = lambda: "hello"
    with pytest.raises(UndeclaredViewError, match="stray"):
        check_every_view(app)


def test_nobody_is_sent_to_sign_in_from_every_page(app: Flask, visitor: Visitor) -> None:
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or app.view_functions[rule.endpoint].needs is None:  # type: ignore[attr-defined]
            continue
        path = rule.rule.replace("<", "").replace(">", "")
        response = visitor.get(path)
        assert response.status_code == 302, path
        assert response.headers["Location"].startswith("/sign-in"), path


def test_every_page_that_changes_something_refuses_a_missing_token(app: Flask, signed_in: SignIn, box: Box) -> None:
    halfway, setting_up = Visitor(app), Visitor(app)
    halfway.give_password(box.staff(Role.DSL, academy_id="ashby"))
    setting_up.give_password(box.staff(Role.DSL, academy_id="ashby", authenticator=False))
    lead, dsl, head = (Role.TRUST_LEAD, "larch"), (Role.DSL, "ashby"), (Role.HEAD, "ashby")
    people = [box.staff(role, trust_id=at if at == "larch" else None, academy_id=None if at == "larch" else at)
              for role, at in (lead, dsl, head)]  # fmt: skip
    visitors = [*(signed_in(one) for one in people), halfway, setting_up, Visitor(app)]
    for rule in app.url_map.iter_rules():
        # a device that enrols brings a code that counts once, and no cookie
        if "POST" in (rule.methods or ()) and rule.endpoint != "enrolment.submit_enrolment":
            path = rule.rule.replace("<", "").replace(">", "")
            codes = {one.post(path, token="").status_code for one in visitors}
            # whoever may is told that the token is missing; whoever may not is not let so far
            assert 400 in codes and codes <= {302, 400, 401, 404}, (path, codes)


def test_nothing_is_read_of_what_somebody_sends_who_may_not(app: Flask, signed_in: SignIn, box: Box) -> None:
    lead = signed_in(box.staff(Role.TRUST_LEAD, trust_id="larch"))
    for visitor, may in (
        (Visitor(app), False),
        (signed_in(box.staff(Role.STAFF, academy_id="ashby")), False),
        (lead, True),
    ):
        sent = BytesIO(b"--x\r\nContent-Disposition: form-data; name=file; filename=a.csv\r\n\r\n" + b"x" * 2_000_000)
        response = visitor._client.post(
            "/academies/import",
            input_stream=sent,
            content_type="multipart/form-data; boundary=x",
            base_url="https://localhost",
        )
        assert response.status_code in (400, 413) if may else response.status_code in (302, 404)
        assert (sent.tell() > 0) is may


def test_a_page_that_was_open_for_hours_can_still_save(app: Flask, signed_in: SignIn, dsl: Actor) -> None:
    visitor = signed_in(dsl)
    visitor.get("/account")
    with visitor._client.session_transaction(base_url="https://localhost") as cookie:
        raw = cookie["csrf_token"]

    class Earlier(TimestampSigner):
        def get_timestamp(self) -> int:
            return super().get_timestamp() - 9 * 3600

    old = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token", signer=Earlier).dumps(raw)
    assert visitor.post("/awake", token=str(old)).status_code == 204
    other = URLSafeTimedSerializer(app.secret_key or "", salt="wtf-csrf-token").dumps("of another session")
    assert visitor.post("/awake", token=str(other)).status_code == 400


def test_wrong_password_and_unknown_address_look_the_same(visitor: Visitor, box: Box) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    pages = []
    for email in (f"{dsl.staff_id}@school.example", "nobody@school.example"):
        visitor.get("/sign-in")
        response = visitor.post("/sign-in", email=email, password="not the password")
        assert response.status_code == 401
        pages.append(response.get_data(as_text=True).replace(email, ""))
    assert "do not belong together" in pages[0] and "do not belong together" in pages[1]
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE 'staff:sign_in%'")]
    assert kinds == ["staff:sign_in_failed"] * 2


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [("/queue", "/queue"), ("https://evil.example/", "/"), ("//evil.example", "/"), ("/\\evil.example", "/")],
)
def test_signing_in_leads_only_to_pages_of_ours(visitor: Visitor, box: Box, target: str, leads_to: str) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    visitor.get("/sign-in")
    fields = {"email": f"{dsl.staff_id}@school.example", "password": "a long enough test password", "next": target}
    assert visitor.post("/sign-in", **fields).headers["Location"] == leads_to


def test_dsl_of_another_academy_cannot_open_the_event(signed_in: SignIn, box: Box) -> None:
    event_id = box.assessed("BIR-01")
    here, there = (signed_in(box.staff(Role.DSL, academy_id=academy)) for academy in ("birch", "ashby"))
    assert here.get(f"/events/{event_id}").status_code == 200
    for path in (f"/events/{event_id}", f"/events/{event_id}/preview"):
        assert there.get(path).status_code == 404
    assert there.post(f"/events/{event_id}/capture").status_code == 404
    assert there.post(f"/events/{event_id}/verdict", level="4", category="abuse").status_code == 404
    assert box.db.conn.execute("SELECT state FROM event").fetchone() == (EventState.AWAITING_MODERATION,)


def test_technician_sees_devices_and_no_event(signed_in: SignIn, box: Box) -> None:
    event_id = box.assessed()
    visitor = signed_in(box.staff(Role.TECHNICIAN, trust_id="larch"))
    assert visitor.get("/devices").status_code == 200
    for path in ("/queue", "/events", f"/events/{event_id}", "/pupils", "/concerns", "/search?q=home", "/audit"):
        assert visitor.get(path).status_code == 404, path


def test_a_grant_taken_away_works_at_the_next_click(signed_in: SignIn, box: Box) -> None:
    event_id, dsl = box.assessed(), box.staff(Role.DSL, academy_id="ashby")
    visitor = signed_in(dsl)
    assert visitor.get(f"/events/{event_id}").status_code == 200
    box.db.conn.execute("UPDATE staff_grant SET ends_at = starts_at WHERE staff_id = ?", [dsl.staff_id])
    assert visitor.get(f"/events/{event_id}").status_code == 404


def test_a_disabled_account_is_signed_out_at_the_next_click(signed_in: SignIn, box: Box) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    visitor = signed_in(dsl)
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-23' WHERE id = ?", [dsl.staff_id])
    assert visitor.get("/queue").headers["Location"].startswith("/sign-in")


def test_a_strange_host_name_is_refused(app: Flask) -> None:
    response = app.test_client().get("/sign-in", base_url="https://evil.example")
    assert response.status_code == 400


def test_pages_are_kept_out_of_caches_and_run_no_strange_script(visitor: Visitor) -> None:
    response = visitor.get("/sign-in")
    assert response.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    cookie = response.headers["Set-Cookie"]
    assert all(word in cookie for word in ("__Host-trustkeep", "Secure", "HttpOnly", "SameSite=Lax"))


def test_an_old_database_keeps_the_portal_from_starting(box: Box) -> None:
    from appliance.store.connection import StoreError

    box.db.conn.execute("DELETE FROM _sqlite_migrations")
    with pytest.raises(StoreError, match="appliance migrate"):
        create_app(box.config)
