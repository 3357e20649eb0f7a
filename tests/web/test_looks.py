"""Looking is recorded: every page that shows a child's name or words leaves an entry, and a list that is asked for
again and again does not fill the trail."""

import ast
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.safeguarding.access import Actor, Role
from appliance.safeguarding.concern import NewConcern
from appliance.safeguarding.report import NewReport
from appliance.safeguarding.severity import Category, Severity
from appliance.web import audit
from appliance.workflow.look import LIST_NOTED_EVERY, note_list
from appliance.workflow.record import open_concern
from appliance.workflow.report import report_concern
from tests.factories import NOW, Box
from tests.web.conftest import Visitor

SignIn = Callable[[Actor], Visitor]


def new_rows(box: Box, since: int) -> list[tuple[str, str]]:
    rows = box.db.conn.execute("SELECT kind, subject FROM audit WHERE seq > ? ORDER BY seq", [since])
    return [(kind, subject.partition(":")[2] if kind == "list:viewed" else "") for kind, subject in rows]


def last(box: Box) -> int:
    return int(box.db.conn.execute("SELECT max(seq) FROM audit").fetchone()[0])


@pytest.mark.parametrize(
    ("path", "noted"),
    [
        ("/", ("list:viewed", "today")),
        ("/queue", ("list:viewed", "queue")),
        ("/events", ("list:viewed", "events")),
        ("/confirmed", ("list:viewed", "confirmed")),
        ("/concerns", ("list:viewed", "concerns")),
        ("/reports/received", ("list:viewed", "reports")),
        ("/pupils", ("list:viewed", "pupils")),
        ("/audit", ("list:viewed", "audit")),
        ("/pupils?name=Ze", ("record:searched", "")),
        ("/audit?name=Ze", ("record:searched", "")),
        ("/concerns/new?event={event}", ("event:viewed", "")),
        ("/concerns/new?pupil={pupil}&report=r1", ("report:viewed", "")),
    ],
)
def test_a_page_with_a_childs_name_or_words_is_noted(
    signed_in: SignIn, box: Box, path: str, noted: tuple[str, str]
) -> None:
    dsl, staff = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.STAFF, academy_id="ashby")
    pupil = box.pupil(surname="Zebra")
    event_id = box.assessed(account=pupil.id)
    report_concern(box.open_as(staff), staff, NewReport("r1", "ashby", "Robin", "Came in crying."), NOW, box.new_id)
    visitor = signed_in(dsl)
    # signing in looks at the first page
    box.db.conn.execute("DELETE FROM list_look")
    since = last(box)
    assert visitor.get(path.format(event=event_id, pupil=pupil.id)).status_code == 200
    assert new_rows(box, since) == [noted]


def test_a_list_asked_for_again_and_again_is_one_look_in_five_minutes(box: Box) -> None:
    dsl, deputy = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    since = last(box)
    for person, name, at in (
        (dsl, "queue", NOW),
        (dsl, "queue", NOW + timedelta(seconds=1)),
        (dsl, "queue", NOW + LIST_NOTED_EVERY - timedelta(seconds=1)),
        (dsl, "events", NOW + timedelta(seconds=2)),
        (deputy, "queue", NOW + timedelta(seconds=3)),
        (dsl, "queue", NOW + LIST_NOTED_EVERY),
        # a clock that was put back hides nothing
        (dsl, "queue", NOW),
    ):
        note_list(box.open_as(person), person, name, at)
    assert [name for _, name in new_rows(box, since)] == ["queue", "events", "queue", "queue", "queue"]


def test_the_looks_of_the_head_at_the_vault_are_told_to_nobody_else(signed_in: SignIn, box: Box) -> None:
    head, dsl = box.staff(Role.HEAD, academy_id="ashby"), box.staff(Role.DSL, academy_id="ashby")
    lead, chair = box.staff(Role.TRUST_LEAD, trust_id="larch"), box.staff(Role.CHAIR, academy_id="ashby")
    keeper, since = signed_in(head), last(box)
    for path in ("/vault", "/audit", f"/audit?person={dsl.staff_id}", f"/audit?person={chair.staff_id}"):
        assert keeper.get(path).status_code == 200
    assert [kind for kind, _ in new_rows(box, since)] == ["vault:listed"] * 4
    for person, seen in ((dsl, 0), (lead, 0), (head, 4), (chair, 3)):
        db = box.open_as(box.actor(person.staff_id))
        query = "SELECT count(*) FROM scoped_audit WHERE kind = 'vault:listed'"
        assert db.conn.execute(query).fetchone() == (seen,), person.name


def test_a_copy_that_could_not_hold_everything_says_so(
    signed_in: SignIn, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = signed_in(box.staff(Role.DSL, academy_id="ashby"))
    box.pupil()
    visitor.get("/audit")
    assert "older entries" not in visitor.post("/audit/export").text
    monkeypatch.setattr("appliance.web.audit.MOST_EXPORTED", 2)
    cut = visitor.post("/audit/export")
    assert cut.text.strip().split("\n")[-1].startswith("There are older entries: a copy holds the newest 2.")
    assert "newest-part" in cut.headers["Content-Disposition"] and cut.text.count("\n") == 4
    (detail,) = box.db.conn.execute("SELECT detail FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    assert detail == '{"cut":1,"rows":2,"what":"audit"}'


def test_what_opens_more_than_the_page_asked_for_is_said_before(signed_in: SignIn, box: Box) -> None:
    dsl, lead = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.TRUST_LEAD, trust_id="larch")
    first, second = box.pupil(forename="Robin"), box.pupil(forename="Kim")
    concern = NewConcern("c1", Category.ABUSE, Severity.SERIOUS, "Afraid to go home.")
    open_concern(box.open_as(dsl), dsl, [], [first.id, second.id], concern, NOW, box.new_id)
    event_id = box.assessed(account=first.id)
    visitor = signed_in(lead)
    page = visitor.get("/records/concern/c1/open").text
    said = re.search(r"<b>whole record</b> of each of them: ([^<]+)\.", page)
    assert said is not None and set(said[1].split(". ")[0].split(", ")) == {first.name, second.name}
    assert (
        f"whole record</b> of {first.name}, not this event alone" in visitor.get(f"/records/event/{event_id}/open").text
    )
    assert "whole record" not in visitor.get(f"/records/pupil/{first.id}/open").text


def test_every_kind_of_entry_has_words_on_the_audit_page() -> None:
    root = Path(audit.__file__).parents[1]
    page = (root / "web/templates/audit/audit.html").read_text(encoding="utf-8")
    worded = set(re.findall(r'"([a-z_]+:[a-z_]+)":', page))
    written = set()
    for path in [*(root / "workflow").glob("*.py"), *(root / "web").glob("*.py")]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in {"AuditEntry", "note_look"}:
                written |= {one.value for one in call.args if isinstance(one, ast.Constant) and ":" in str(one.value)}
    assert len(written) > 40 and written - worded == set()
