"""Giving and ending roles, narrowing, reporting, the vault and the audit pages, as people do it in the portal."""

import re
from collections.abc import Callable
from io import BytesIO

from appliance.safeguarding.access import Actor, Role
from appliance.safeguarding.severity import Severity
from appliance.store import grants
from tests.exchange.test_gias import download, line
from tests.factories import Box
from tests.web.conftest import Visitor

SignIn = Callable[[Actor], Visitor]


def kinds(box: Box) -> list[str]:
    return [row[0] for row in box.db.conn.execute("SELECT kind FROM audit ORDER BY seq")]


def test_a_lead_gives_a_role_until_a_day_and_ends_it(signed_in: SignIn, box: Box) -> None:
    visitor, person = signed_in(box.staff(Role.TRUST_LEAD, trust_id="larch")), box.staff(Role.STAFF, academy_id="ashby")
    page = visitor.get(f"/staff/{person.staff_id}").text
    assert f"<h1>{person.name}</h1>" in page and f'action="/staff/{person.staff_id}/grants"' in page
    given = visitor.post(f"/staff/{person.staff_id}/grants", role="dsl", place="academy:birch", ends_on="2099-07-31")
    assert given.status_code == 302
    page = visitor.get(f"/staff/{person.staff_id}").get_data(as_text=True)
    assert "Designated Safeguarding Lead" in page and "Birch Academy" in page and "1 Aug 2099" in page
    (grant,) = [one for one in grants.select_grants_of(box.db, person.staff_id) if one.grant.role is Role.DSL]
    assert visitor.post(f"/grants/{grant.id}/end").status_code == 302
    assert "(over)" in visitor.get(f"/staff/{person.staff_id}").get_data(as_text=True)
    assert [kind for kind in kinds(box) if kind.startswith("grant:")][-2:] == ["grant:given", "grant:ended"]


def test_nobody_gives_a_right_beyond_their_reach_or_to_themselves(signed_in: SignIn, box: Box) -> None:
    lead, dsl = box.staff(Role.TRUST_LEAD, trust_id="larch"), box.staff(Role.DSL, academy_id="ashby")
    staff, far = box.staff(Role.STAFF, academy_id="ashby"), box.staff(Role.STAFF, academy_id="cedar")
    cases = [
        (lead, lead, "moderator", "trust:larch", 422),
        (lead, staff, "dsl", "academy:cedar", 422),
        (lead, staff, "trust_lead", "trust:maple", 422),
        (lead, staff, "dsl", "trust:larch", 422),
        (lead, far, "staff", "academy:ashby", 404),
        (dsl, staff, "dsl", "academy:ashby", 422),
        (dsl, staff, "staff", "academy:birch", 422),
        (dsl, dsl, "staff", "academy:ashby", 422),
    ]
    before = box.db.conn.execute("SELECT count(*) FROM staff_grant").fetchone()
    for giver, person, role, place, status in cases:
        visitor = signed_in(giver)
        visitor.get("/staff")
        path = f"/staff/{person.staff_id}/grants"
        assert visitor.post(path, role=role, place=place).status_code == status, (giver.name, role, place)
    assert box.db.conn.execute("SELECT count(*) FROM staff_grant").fetchone() == before


def test_a_dsl_invites_a_member_of_staff_who_then_signs_in_by_the_link(signed_in: SignIn, box: Box, app) -> None:  # type: ignore[no-untyped-def]
    dsl = box.staff(Role.DSL, academy_id="ashby")
    visitor = signed_in(dsl)
    visitor.get("/staff/new")
    fields = {"name": "Jo Newcomer", "email": "jo@school.example", "place": "academy:ashby"}
    assert visitor.post("/staff/new", role="deputy_dsl", **fields).status_code == 422
    page = visitor.post("/staff/new", role="staff", **fields)
    link = re.search(r"https://[^<\s]+(/invitation/[^<\s]+)", page.get_data(as_text=True))
    assert page.status_code == 200 and link is not None
    jo = Visitor(app)
    assert jo.get(link[1]).status_code == 200
    password = "a fine long pass phrase of jo"
    assert jo.post(link[1], password=password, again=password).status_code == 302
    assert jo.get("/reports/new").status_code == 200
    assert jo.get("/queue").status_code == 404


def test_a_dsl_cannot_make_a_link_into_a_greater_account(signed_in: SignIn, box: Box) -> None:
    visitor, deputy = signed_in(box.staff(Role.DSL, academy_id="ashby")), box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    lead, staff = box.staff(Role.TRUST_LEAD, trust_id="larch"), box.staff(Role.STAFF, academy_id="ashby")
    visitor.get("/staff")
    for person, status in ((deputy, 404), (lead, 404), (staff, 200)):
        assert visitor.post(f"/staff/{person.staff_id}/link").status_code == status


def test_the_switcher_narrows_and_never_widens(signed_in: SignIn, box: Box) -> None:
    pupils = {academy: box.pupil(academy, surname=f"Of{academy.title()}") for academy in ("ashby", "birch", "cedar")}
    for device, academy in (("ASH-01", "ashby"), ("BIR-01", "birch"), ("CED-01", "cedar")):
        box.assessed(device, pupils[academy].id)
    visitor = signed_in(box.staff(Role.MODERATOR, trust_id="larch"))

    def seen() -> list[str]:
        page = visitor.get("/queue").get_data(as_text=True)
        return [academy for academy, pupil in pupils.items() if pupil.surname in page]

    assert seen() == ["ashby", "birch"]
    for chosen, sees in (
        ("birch", ["birch"]),
        ("cedar", ["ashby", "birch"]),
        ("ashby", ["ashby"]),
        ("", ["ashby", "birch"]),
    ):
        visitor.post("/academy", academy=chosen, next="https://evil.example/")
        assert seen() == sees, chosen


def test_narrowing_does_not_hide_that_another_academy_calls(signed_in: SignIn, box: Box) -> None:
    lead = box.staff(Role.TRUST_LEAD, trust_id="larch")
    visitor = signed_in(lead)
    box.assessed("BIR-01", level=Severity.IMMEDIATE)
    visitor.get("/")
    visitor.post("/academy", academy="ashby")
    page = visitor.get("/").get_data(as_text=True)
    assert "1 to acknowledge" in page and "Look at all academies, and read it" in page


def test_a_member_of_staff_reports_and_sees_only_how_far_it_has_come(signed_in: SignIn, box: Box) -> None:
    dsl, pupil = box.staff(Role.DSL, academy_id="ashby"), box.pupil()
    staff, other = (signed_in(box.staff(Role.STAFF, academy_id="ashby")) for _ in range(2))
    staff.get("/reports/new")
    sent = staff.post("/reports/new", academy="ashby", about="Robin in 9A", text="Cried after the lesson")
    assert sent.status_code == 302
    (report_id,) = box.db.conn.execute("SELECT id FROM concern_report").fetchone()
    assert other.get(f"/reports/{report_id}").status_code == 404 and "Robin" not in other.get("/reports").text
    keeper = signed_in(dsl)
    assert "1 to read" in keeper.get("/").text
    for state, step in (
        ("Received", lambda: keeper.post(f"/reports/{report_id}/read")),
        ("Read by a safeguarding lead", lambda: open_concern(keeper, pupil.id, report_id)),
        ("In hand", lambda: None),
    ):
        assert state in staff.get("/reports").text
        step()
    assert "Afraid of the bus" not in staff.get(f"/reports/{report_id}").text
    assert staff.get("/concerns").status_code == 404


def open_concern(visitor: Visitor, pupil_id: str, report_id: str) -> None:
    page = visitor.get(f"/concerns/new?pupil={pupil_id}&report={report_id}")
    assert "Cried after the lesson" in page.text
    fields = {"summary": "Afraid of the bus home", "level": "3", "category": "bullying"}
    assert visitor.post(f"/concerns/new?pupil={pupil_id}&report={report_id}", **fields).status_code == 302


def test_a_dsl_does_not_see_that_the_vault_has_entries(signed_in: SignIn, box: Box) -> None:
    dsl, head = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.HEAD, academy_id="ashby")
    chair, dpo = box.staff(Role.CHAIR, academy_id="ashby"), box.staff(Role.DPO, trust_id="larch")
    keeper, watcher = signed_in(head), signed_in(dsl)
    empty = {path: strip(watcher.get(path).text) for path in ("/", "/figures", "/staff")}
    keeper.get("/vault/new")
    fields = {"academy": "ashby", "kind": "low_level", "about": dsl.staff_id, "text": "Shouted in the corridor"}
    entry_url = keeper.post("/vault/new", **fields).headers["Location"]
    assert keeper.get(entry_url).status_code == 200
    for visitor in (watcher, signed_in(dpo)):
        assert visitor.get(entry_url).status_code == 404 and visitor.get("/vault").status_code == 404
        # that they themselves just asked for it is all that is told of it
        told = [visitor.get("/audit").text, visitor.get(f"/audit?person={head.staff_id}").text]
        told.append(visitor.post("/audit/export").text)
        assert not any("vault" in re.sub(r"asked[^<\n]*/vault", "", page) for page in told)
    assert {path: strip(watcher.get(path).text) for path in empty} == empty
    assert "put a record in the vault" in signed_in(chair).get("/audit").text


def strip(page: str) -> str:
    """A page without what differs each time: tokens and the clock."""
    return re.sub(r'value="[^"]{20,}"|As of \d\d:\d\d|\d+ min', "", page)


def test_a_head_does_not_see_a_record_about_themselves(signed_in: SignIn, box: Box) -> None:
    head, chair = (box.staff(role, academy_id="ashby") for role in (Role.HEAD, Role.CHAIR))
    keeper = signed_in(chair)
    keeper.get("/vault/new")
    fields = {"academy": "ashby", "kind": "allegation", "about": head.staff_id, "text": "Reported by a parent"}
    entry_url = keeper.post("/vault/new", **fields).headers["Location"]
    visitor = signed_in(head)
    assert visitor.get(entry_url).status_code == 404 and "No record is in your reach" in visitor.get("/vault").text
    assert "vault record" not in visitor.get("/audit").text and "in the vault" not in visitor.get("/audit").text
    visitor.get("/vault/new")
    assert visitor.post("/vault/new", **fields).status_code == 422


def test_the_audit_is_read_by_person_by_pupil_and_by_day_and_a_copy_is_recorded(signed_in: SignIn, box: Box) -> None:
    dsl, pupil, other = box.staff(Role.DSL, academy_id="ashby"), box.pupil(surname="Wanted"), box.pupil()
    watcher = signed_in(dsl)
    event_id = box.assessed(account=pupil.id)
    watcher.get(f"/pupils/{pupil.id}")
    watcher.get(f"/events/{event_id}")
    watcher.get(f"/pupils/{other.id}")
    dpo = signed_in(box.staff(Role.DPO, trust_id="larch"))
    assert f"/audit?pupil={pupil.id}" in dpo.get("/audit?name=wan").text
    page = dpo.get(f"/audit?pupil={pupil.id}").text
    assert "looked at a chronology" in page and "looked at an event" in page and other.id not in page
    page = dpo.get(f"/audit?person={dsl.staff_id}").text
    assert "signed in" in page and "looked at an event" in page and f"By and about <b>{dsl.name}</b>" in page
    assert "By and about" not in dpo.get("/audit").text
    assert "No entry is in your reach" in dpo.get("/audit?day=2020-01-01").text
    assert dpo.get("/audit?day=nonsense&before=abc").status_code == 200
    assert dpo.get(f"/pupils/{pupil.id}").status_code == 404 and dpo.get(f"/events/{event_id}").status_code == 404
    copy = dpo.post("/audit/export", pupil=pupil.id)
    assert copy.mimetype == "text/csv" and "event:viewed" in copy.text and kinds(box)[-1] == "export:made"


def test_only_who_audits_the_trust_sees_entries_without_an_academy(signed_in: SignIn, box: Box) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    far = box.staff(Role.DPO, trust_id="maple")
    near = box.staff(Role.DPO, trust_id="larch")
    own = signed_in(dsl)
    for visitor, sees in ((signed_in(near), True), (signed_in(far), False), (own, False)):
        assert (
            re.search(rf"person={dsl.staff_id}[^\n]*\n[^\n]*signed in", visitor.get("/audit").text) is not None
        ) is sees


def test_a_locked_record_asks_in_the_portal_and_badges_the_one_who_locked_it(signed_in: SignIn, box: Box) -> None:
    dsl, deputy, pupil = (
        box.staff(Role.DSL, academy_id="ashby"),
        box.staff(Role.DEPUTY_DSL, academy_id="ashby"),
        box.pupil(),
    )
    keeper, other = signed_in(dsl), signed_in(deputy)
    keeper.get(f"/records/pupil/{pupil.id}/lock")
    assert keeper.post(f"/records/pupil/{pupil.id}/lock", reason="Her aunt works here.").status_code == 302
    asked = other.get(f"/pupils/{pupil.id}")
    assert asked.status_code == 302 and asked.headers["Location"] == f"/records/pupil/{pupil.id}/open"
    assert "is told at once" in other.get(asked.headers["Location"]).text
    assert other.post(asked.headers["Location"], reason="no").status_code == 422
    assert other.post(asked.headers["Location"], reason="She did not come home.").status_code == 302
    assert other.get(f"/pupils/{pupil.id}").status_code == 200
    assert "1 to read" in keeper.get("/").text


def test_academies_come_by_hand_and_from_a_previewed_download(signed_in: SignIn, box: Box) -> None:
    visitor = signed_in(box.staff(Role.TRUST_LEAD, trust_id="larch"))
    visitor.get("/academies")
    assert visitor.post("/academies", trust="larch", name="Fir Academy", urn="123456").status_code == 302
    assert visitor.post("/academies", trust="maple", name="Not Ours").status_code == 422
    file = BytesIO(download(line("100001", "Oak Primary"), line("123456", "Fir Academy", number="2005")).getvalue())
    preview = visitor.upload("/academies/import", file, "edubasealldata.csv", trust="larch", code="5001")
    assert preview.status_code == 200 and "Oak Primary" in preview.text
    assert box.db.conn.execute("SELECT count(*) FROM academy WHERE urn = '100001'").fetchone() == (0,)
    found = re.search(r'name="found" value="([^"]+)"', preview.text)
    assert found is not None
    packed = found[1].replace("&#34;", '"')
    assert visitor.post("/academies/import/keep", trust="larch", found=packed).status_code == 302
    assert box.db.conn.execute("SELECT trust_id FROM academy WHERE urn = '100001'").fetchone() == ("larch",)
    assert visitor.post("/academies/import/keep", trust="maple", found=packed).status_code == 404


def test_only_the_import_takes_a_large_file(signed_in: SignIn, box: Box) -> None:
    visitor = signed_in(box.staff(Role.TRUST_LEAD, trust_id="larch"))
    visitor.get("/academies")
    large = download(line("100001", "Oak Primary"), *[line("200000", "x" * 300, trust="1")] * 6000).getvalue()
    assert len(large) > 2_000_000
    assert visitor.upload("/academies/import", BytesIO(large), "e.csv", trust="larch", code="5001").status_code == 200
    assert visitor.upload("/academies", BytesIO(large), "e.csv", trust="larch").status_code == 413


def test_every_role_is_described_in_one_sentence(signed_in: SignIn, box: Box) -> None:
    from appliance.safeguarding.access import ROLES

    page = signed_in(box.staff(Role.STAFF, academy_id="ashby")).get("/roles").text
    assert set(ROLES) == set(Role)
    for info in ROLES.values():
        assert info.title in page and info.description.replace("'", "&#39;") in page
        assert info.description.endswith(".") and info.description.count(". ") == 0


def test_asking_for_what_is_not_theirs_is_on_the_audit_trail(signed_in: SignIn, box: Box) -> None:
    curious, pupil = box.staff(Role.STAFF, academy_id="ashby"), box.pupil()
    visitor = signed_in(curious)
    for path in ("/queue", f"/pupils/{pupil.id}?name=secret"):
        assert visitor.get(path).status_code == 404
    rows = box.db.conn.execute(
        "SELECT actor_id, detail FROM audit WHERE kind = 'access:refused' ORDER BY seq"
    ).fetchall()
    assert rows == [
        (curious.staff_id, '{"asked":"GET /queue"}'),
        (curious.staff_id, f'{{"asked":"GET /pupils/{pupil.id}"}}'),
    ]
    assert "asked for what is not theirs" in signed_in(box.staff(Role.DPO, trust_id="larch")).get("/audit").text
