"""Importing, deciding, and saying who is who, through the portal."""

import io
import re
from datetime import UTC, datetime, timedelta

from flask import Flask

from appliance.imports import run_waiting
from appliance.safeguarding.access import Role
from appliance.safeguarding.attendance import EMPTY_YEAR, position, school_year
from appliance.store import events
from appliance.store.connection import transaction
from tests.exchange.files import table, upn
from tests.factories import NOW, Box
from tests.web.conftest import Visitor

ODD = table(
    [["Ref", "Last", "First", "Born"], [upn(1), "Tester", "Sam", "05/06/2013"], ["Q207000016049", "B", "C", ""]]
)


def work(box: Box) -> None:
    """What the worker does meanwhile."""
    while run_waiting(box.config, box.db, NOW, lambda line: None):
        pass


def send(visitor: Visitor, data: bytes, name: str = "odd.csv") -> str:
    """Send a file; the address of its page."""
    visitor.get("/imports")
    response = visitor.upload("/imports", io.BytesIO(data), name, academy="ashby")
    assert response.status_code == 302, response.get_data(as_text=True)
    return str(response.headers["Location"])


def test_odd_columns_are_mapped_tried_imported_refused_rows_fetched_and_all_undone(box: Box, visitor: Visitor) -> None:
    visitor.sign_in(box.staff(Role.DSL, academy_id="ashby"))
    page = send(visitor, ODD)
    text = visitor.get(page).get_data(as_text=True)
    assert "Which column holds what?" in text and "Tester" in text
    columns = {"kind": "pupils", "column-upn": "Ref", "column-surname": "Last"}
    refused = visitor.post(f"{page}/columns", **columns)
    assert refused.status_code == 422 and "Forename" in refused.get_data(as_text=True)
    columns |= {"column-forename": "First", "column-born_on": "Born"}
    assert visitor.post(f"{page}/columns", **columns).status_code == 302
    waiting = visitor.get(page)
    assert waiting.headers["Refresh"] == "2" and "<progress" in waiting.get_data(as_text=True)
    work(box)
    planned = visitor.get(page).get_data(as_text=True)
    assert "dry run: nothing is kept yet" in planned and "1 added, 1 refused" in planned and "“P”" in planned
    assert box.db.conn.execute("SELECT count(*) FROM pupil").fetchone() == (0,)
    bad = visitor.get(f"{page}/refused.csv").get_data(as_text=True).lstrip("\ufeff").splitlines()
    assert bad[0] == "line,reason,Ref,Last,First,Born" and bad[1].startswith("3,") and "Q207000016049,B,C" in bad[1]
    visitor.post(f"{page}/apply")
    work(box)
    assert "Taken in" in visitor.get(page).get_data(as_text=True)
    assert "Tester, Sam" in visitor.get("/pupils").get_data(as_text=True)
    visitor.post(f"{page}/undo")
    work(box)
    assert "Import it again" in visitor.get(page).get_data(as_text=True)
    assert box.db.conn.execute("SELECT count(*) FROM pupil").fetchone() == (0,)
    visitor.post(f"{page}/again")
    work(box)
    visitor.post(f"{page}/apply")
    work(box)
    assert box.db.conn.execute("SELECT count(*) FROM pupil").fetchone() == (1,)
    # the columns are remembered: the same headings ask nobody again
    again = send(visitor, ODD, "odd-2.csv")
    assert "Which column" not in visitor.get(again).get_data(as_text=True)


def test_what_is_no_file_of_an_mis_is_refused_on_the_page(box: Box, visitor: Visitor) -> None:
    visitor.sign_in(box.staff(Role.DSL, academy_id="ashby"))
    visitor.get("/imports")
    response = visitor.upload("/imports", io.BytesIO(b""), "x.csv", academy="ashby")
    assert response.status_code == 422 and "empty" in response.get_data(as_text=True)
    response = visitor.upload("/imports", io.BytesIO(ODD), "x.csv", academy="birch")
    assert response.status_code == 422


def test_a_person_decides_whether_it_is_the_same_child(box: Box, visitor: Visitor) -> None:
    visitor.sign_in(box.staff(Role.DSL, academy_id="ashby"))
    with transaction(box.db):
        known = box.db.conn.execute
        known("INSERT INTO pupil (id, academy_id, surname, forename, born_on, flags)"
              " VALUES ('p1', 'ashby', 'Tester', 'Sam', '2013-06-05', '[]')")  # fmt: skip
    page = send(visitor, table([["UPN", "Surname", "Forename", "DOB"], [upn(1), "Tester", "Sam", "05/06/2013"]]))
    visitor.post(f"{page}/columns", **{"kind": "pupils", "column-upn": "UPN", "column-surname": "Surname",
                                       "column-forename": "Forename", "column-born_on": "DOB"})  # fmt: skip
    work(box)
    visitor.post(f"{page}/apply")
    work(box)
    text = visitor.get("/imports").get_data(as_text=True)
    assert "Is this the same child?" in text
    (path,) = re.findall(r'action="(/imports/decisions/[^"]+)"', text)
    visitor.post(path, decided="same")
    work(box)
    assert box.db.conn.execute("SELECT id, upn FROM pupil").fetchall() == [("p1", upn(1))]
    text = visitor.get("/imports").get_data(as_text=True)
    assert "Is this the same child?" not in text and "Decided lately" in text


def test_events_of_nobody_wait_until_a_person_says_whose_they_are(box: Box, visitor: Visitor) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    pupil = box.pupil("ashby", "Robin", "Testcase")
    event_id = box.assessed(account="Shared\\Login")
    visitor.sign_in(dsl)
    text = visitor.get("/who").get_data(as_text=True)
    assert "Shared\\Login" in text
    text = visitor.get("/who?account=Shared%5CLogin&academy=ashby&name=Rob").get_data(as_text=True)
    assert "Robin Testcase" in text
    visitor.post("/who", account="Shared\\Login", academy="ashby", pupil=pupil.id)
    here = box.open_as(dsl)
    event = events.get_event(here, event_id)
    assert event is not None and event.pupil_id == pupil.id
    assert box.db.conn.execute("SELECT pupil_id FROM event WHERE id = ?", [box.received(account="shared\\login")]).fetchone() == (pupil.id,)  # fmt: skip  # noqa: E501
    text = visitor.get("/who").get_data(as_text=True)
    (path,) = re.findall(r'action="(/who/[^"]+/undo)"', text)
    visitor.post(path)
    event = events.get_event(here, event_id)
    assert event is not None and event.pupil_id is None
    later = box.db.conn.execute("SELECT pupil_id FROM event WHERE id = ?", [box.received(account="Shared\\Login")])
    assert later.fetchone() == (None,)
    kinds = box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE 'account:%' ORDER BY seq").fetchall()
    assert kinds == [("account:claimed",), ("account:unclaimed",)]


def test_nobody_says_whose_a_user_name_is_with_a_pupil_of_another_academy(box: Box, visitor: Visitor) -> None:
    stranger = box.pupil("birch")
    box.received(account="x")
    visitor.sign_in(box.staff(Role.DSL, academy_id="ashby"))
    visitor.get("/who")
    assert visitor.post("/who", account="x", academy="ashby", pupil=stranger.id).status_code == 404
    assert visitor.post("/who", account="x", academy="birch", pupil=stranger.id).status_code == 404


def fill_record(box: Box, pupil_id: str, academy_id: str = "ashby") -> None:
    """Contacts, a sibling, a register with an absence after the event's day, an incident."""
    day, today = NOW.date(), datetime.now(UTC).date()
    registers: dict[int, list[str]] = {}
    # around the event's day, and around the day on which the page is looked at
    for first in (today, day):
        for back in range(20, -6, -1):
            on = first - timedelta(days=back)
            if on.weekday() < 5:
                marks = registers.setdefault(school_year(on), list(EMPTY_YEAR))
                for half in (False, True):
                    marks[position(on, half)] = "N" if first == day and back < -1 else "/"
    add = box.db.conn.execute
    contact = (
        "INSERT INTO pupil_contact VALUES (?, ?, ?, 1, 'Ann Example', 'Mother', 1, '01632 960001', '', '', '', 'a')"
    )
    with transaction(box.db):
        for year, found in registers.items():
            add("INSERT INTO attendance VALUES (?, ?, ?, ?, ?, 40, 30, 4, 6, ?, 6)",
                [f"r{year}", academy_id, pupil_id, year, "".join(found), day.isoformat()])  # fmt: skip
        add(contact, ["c", academy_id, pupil_id])
        add(contact, ["d", academy_id, "sib"])
        add("INSERT INTO pupil (id, academy_id, surname, forename, flags) VALUES ('sib', ?, 'Testcase', 'Lee', '[]')",
            [academy_id])  # fmt: skip
        add("INSERT INTO behaviour VALUES ('b', ?, ?, ?, 'Fight', '3', -2, 'In the yard', 'Mr B')",
            [academy_id, pupil_id, day.isoformat()])  # fmt: skip


def test_record_and_event_show_what_the_mis_says_and_only_to_who_reads_records(box: Box, app: Flask) -> None:
    pupil = box.pupil("ashby")
    event_id = box.assessed(account=pupil.id)
    fill_record(box, pupil.id)
    dsl, moderator = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.MODERATOR, academy_id="ashby")
    reader = Visitor(app)
    reader.sign_in(dsl)
    record = reader.get(f"/pupils/{pupil.id}").get_data(as_text=True)
    for words in ("Ann Example", "parental responsibility", "Lee Testcase", "same contact", "25.0 % missed",
                  "persistent absence", "strip-mark"):  # fmt: skip
        assert words in record, words
    event = reader.get(f"/events/{event_id}").get_data(as_text=True)
    assert "Absent from 25 Nov 2026" in event and "strip-event" in event and "Fight" in event
    other = Visitor(app)
    other.sign_in(moderator)
    event = other.get(f"/events/{event_id}").get_data(as_text=True)
    assert "Absent from" not in event and "Fight" not in event and "strip-mark" not in event
    absence = reader.get("/absence").get_data(as_text=True)
    assert pupil.name in absence and "persistent" in absence


def test_a_locked_record_shows_none_of_it(box: Box, visitor: Visitor) -> None:
    from appliance.workflow.open_record import lock_record

    dsl, deputy = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.DEPUTY_DSL, academy_id="ashby")
    pupil = box.pupil("ashby")
    fill_record(box, pupil.id)
    lock_record(box.open_as(dsl), dsl, "pupil", pupil.id, [], "Her aunt works here.", NOW, box.new_id)
    shut = box.open_as(box.actor(deputy.staff_id))
    for view in ("attendance", "pupil_contact", "behaviour"):
        rows = shut.conn.execute(f"SELECT count(*) FROM scoped_{view} WHERE pupil_id = ?", [pupil.id]).fetchone()
        assert rows == (0,), view
    lead = box.staff(Role.TRUST_LEAD, trust_id="larch")
    assert box.open_as(lead).conn.execute("SELECT count(*) FROM scoped_attendance").fetchone() == (0,)
