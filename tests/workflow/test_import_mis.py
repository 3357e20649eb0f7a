"""Files from the MIS taken in: dry runs, matching, moves, leavers, transfer files, marks, and undoing all of it."""

import io
import json
import os
import time
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance import imports as box_imports
from appliance.exchange.mis_csv import read_head
from appliance.safeguarding.access import NotAllowedError, Role
from appliance.safeguarding.pupil import ImportState, Outcome
from appliance.store import imports, people
from appliance.store.audit import check_chain
from appliance.store.import_files import open_new
from appliance.store.imports import Import
from appliance.workflow.import_mis import ImportRefusedError
from appliance.workflow.send_import import (
    choose_columns,
    decide_match,
    have_applied,
    have_merged,
    have_undone,
    send_file,
)
from tests.exchange.files import ctf, ctf_pupil, oneroster, table, upn, wonde, wonde_student
from tests.factories import NOW, Box, make_box

HEAD = ["upn", "mis_id", "surname", "forename", "dob", "year", "reg_group", "fsm", "account"]
DATA = ("pupil", "pupil_fact", "pupil_contact", "pupil_account", "pupil_stay", "attendance", "attendance_total",
        "behaviour")  # fmt: skip


def pupil(n: int, **more: str) -> list[str]:
    """A pupil's row of the plain CSV."""
    values = {"upn": upn(n), "mis_id": str(1000 + n), "surname": f"Tester{n}", "forename": "Sam",
              "dob": f"{1 + n % 28:02d}/05/2013", "year": "9", "reg_group": "9A", "fsm": "N", "account": f"user{n}"}  # fmt: skip  # noqa: E501
    return list({**values, **more}.values())


def pupils(*rows: list[str], head: Iterable[str] = HEAD) -> bytes:
    return table([list(head), *rows])


class Desk:
    """The box and a DSL's way to it, at Ashby unless told otherwise."""

    def __init__(self, box: Box) -> None:
        self.box, self.now = box, NOW

    def take(self, data: bytes, name: str = "pupils.csv", academy: str = "ashby", dry: bool = False, **options: Any) -> Import:  # fmt: skip  # noqa: E501
        """Take a file in, as the watched folder does."""
        path = self.box.config.home / name
        path.write_bytes(data)
        state = ImportState.TO_PLAN if dry else ImportState.TO_APPLY
        one = box_imports.take_file(self.box.config, self.box.db, path, academy, options, self.now, state=state)
        return self.run(one.id)

    def run(self, import_id: str) -> Import:
        """Carry out what waits."""
        while box_imports.run_waiting(self.box.config, self.box.db, self.now, lambda line: None):
            pass
        one = imports.get_any_import(self.box.db, import_id)
        assert one is not None
        self.now += timedelta(minutes=1)
        return one

    def undo(self, one: Import) -> Import:
        again = imports.get_any_import(self.box.db, one.id)
        assert again is not None
        with_undo = {**again.options, "undo_by": "system"}
        imports.set_any_import_state(self.box.db, one.id, ImportState.TO_APPLY, options=with_undo)
        return self.run(one.id)

    def everything(self) -> dict[str, list[Any]]:
        return {name: self.box.db.conn.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in DATA}

    def one(self, query: str, *values: object) -> Any:
        return self.box.db.conn.execute(query, values).fetchone()

    def rows(self, one: Import, outcome: Outcome) -> list[str]:
        return [row.reason for row in imports.select_import_rows(self.box.db, one.id, outcome)]


@pytest.fixture
def desk(box: Box) -> Desk:
    return Desk(box)


def test_a_dry_run_says_what_would_happen_and_changes_nothing(desk: Desk) -> None:
    before = desk.everything()
    one = desk.take(pupils(pupil(1), pupil(2, upn="A801200005001"), pupil(3, surname="")), dry=True)
    assert (one.state, one.counts) == (ImportState.PLANNED, {"added": 1, "refused": 2})
    assert desk.everything() == before
    rows = imports.select_import_rows(desk.box.db, one.id, Outcome.REFUSED)
    assert [row.line for row in rows] == [3, 4] and "“B”" in rows[0].reason and rows[0].raw[0] == "A801200005001"


def test_the_same_file_twice_changes_nothing_and_a_changed_row_is_one_change(desk: Desk) -> None:
    first = desk.take(pupils(pupil(1), pupil(2)))
    assert first.counts == {"added": 2}
    before = desk.everything()
    assert desk.take(pupils(pupil(1), pupil(2))).counts == {"same": 2}
    assert desk.everything() == before
    again = desk.take(pupils(pupil(1), pupil(2, reg_group="9B", fsm="Y")))
    assert again.counts == {"same": 1, "changed": 1}
    assert desk.one("SELECT reg_group, flags FROM pupil WHERE upn = ?", upn(2)) == ("9B", '["fsm"]')
    assert check_chain(desk.box.db) is None


def test_undoing_puts_everything_back_and_importing_again_works(desk: Desk) -> None:
    desk.take(pupils(pupil(1)))
    before = desk.everything()
    one = desk.take(pupils(pupil(1, surname="Married"), pupil(2), pupil(3)))
    assert desk.one("SELECT count(*) FROM pupil")[0] == 3
    assert desk.undo(one).state is ImportState.UNDONE
    assert desk.everything() == before
    imports.set_any_import_state(desk.box.db, one.id, ImportState.TO_APPLY)
    assert desk.run(one.id).counts == {"changed": 1, "added": 2}


def test_a_later_import_of_the_same_pupil_must_be_undone_first(desk: Desk) -> None:
    first = desk.take(pupils(pupil(1)), "first.csv")
    second = desk.take(pupils(pupil(1, reg_group="9C")), "second.csv")
    refused = desk.undo(first)
    assert refused.state is ImportState.APPLIED and "second.csv" in (refused.problem or "")
    desk.undo(second)
    assert desk.undo(first).state is ImportState.UNDONE
    assert desk.one("SELECT count(*) FROM pupil")[0] == 0


def test_undoing_leaves_a_pupil_who_has_a_record_by_now(desk: Desk) -> None:
    one = desk.take(pupils(pupil(1), pupil(2)))
    desk.box.received(account="user1")
    desk.undo(one)
    assert desk.box.db.conn.execute("SELECT upn FROM pupil").fetchall() == [(upn(1),)]
    assert desk.one("SELECT count(*) FROM pupil_account") == (1,)


def test_a_bad_file_changes_nothing_and_says_why(desk: Desk) -> None:
    before = desk.everything()
    broken = desk.take(ctf([ctf_pupil(n) for n in range(60)])[:-500], "8201234_CTF_8205678_001.xml")
    assert broken.state is ImportState.FAILED and "no whole XML" in (broken.problem or "")
    assert desk.take(b"nothing").state is ImportState.FAILED
    assert desk.everything() == before


# ---- whom a row speaks of ----


def test_a_pupil_is_found_by_upn_by_former_upn_and_by_the_number_of_the_mis(desk: Desk) -> None:
    desk.take(pupils(pupil(1), pupil(2), pupil(3, upn="")))
    ids = dict(desk.box.db.conn.execute("SELECT mis_id, id FROM pupil").fetchall())
    # a new UPN tied by the MIS number, the old one kept; then the old one finds the child too
    desk.take(pupils(pupil(1, upn=upn(91))))
    assert desk.one("SELECT id, upn, former_upn FROM pupil WHERE mis_id = '1001'") == (ids["1001"], upn(91), upn(1))
    desk.take(pupils(pupil(1, mis_id="", reg_group="9X")))
    assert desk.one("SELECT upn, reg_group FROM pupil WHERE id = ?", ids["1001"]) == (upn(91), "9X")
    # a child without a UPN is known by the MIS number, and is given one when it comes
    desk.take(pupils(pupil(3)))
    assert desk.one("SELECT id FROM pupil WHERE upn = ?", upn(3)) == (ids["1003"],)
    assert desk.one("SELECT count(*) FROM pupil") == (3,)


def test_numbers_that_disagree_and_numbers_of_somebody_else_are_doubtful(desk: Desk) -> None:
    desk.take(pupils(pupil(1), pupil(2)))
    before = desk.everything()
    crossed = desk.take(pupils(pupil(1, mis_id="1002")))
    stranger = desk.take(pupils(pupil(1, surname="Other", dob="01/01/2010", mis_id="")))
    assert crossed.counts == stranger.counts == {"doubtful": 1}
    assert "another" in desk.rows(crossed, Outcome.DOUBTFUL)[0]
    assert desk.everything() == before


def test_a_name_and_date_of_birth_only_propose_and_a_person_decides(desk: Desk) -> None:
    desk.take(pupils(pupil(1, upn="", mis_id="")))
    dsl = desk.box.staff(Role.DSL, academy_id="ashby")
    here = desk.box.open_as(dsl)
    before = desk.everything()
    one = desk.take(pupils(pupil(1)))
    assert one.counts == {"doubtful": 1} and desk.everything() == before
    (proposal,) = imports.select_open_proposals(here)
    decide_match(here, dsl, proposal.id, "same", NOW, desk.box.new_id)
    desk.run(one.id)
    assert desk.box.db.conn.execute("SELECT upn, mis_id FROM pupil").fetchall() == [(upn(1), "1001")]
    # taken back as a whole, it waits for a person again
    (decision,) = imports.select_decisions(here)
    have_undone(here, dsl, decision, NOW)
    desk.run(decision.id)
    assert desk.everything() == before and len(imports.select_open_proposals(here)) == 1
    decide_match(here, dsl, proposal.id, "other", NOW, desk.box.new_id)
    desk.run(one.id)
    assert desk.one("SELECT count(*) FROM pupil") == (2,)
    kinds = [row[0] for row in desk.box.db.conn.execute("SELECT kind FROM audit WHERE kind = 'pupil:matched'")]
    assert len(kinds) == 2 and check_chain(desk.box.db) is None


def test_a_decided_row_asks_nobody_again_even_without_a_number(desk: Desk) -> None:
    desk.take(pupils(pupil(1, upn="", mis_id="")))
    dsl = desk.box.staff(Role.DSL, academy_id="ashby")
    here = desk.box.open_as(dsl)
    desk.take(pupils(pupil(1, upn="", mis_id="", reg_group="9D")))
    (proposal,) = imports.select_open_proposals(here)
    decide_match(here, dsl, proposal.id, "same", NOW, desk.box.new_id)
    desk.run(proposal.import_id)
    assert desk.one("SELECT reg_group FROM pupil") == ("9D",)
    assert desk.take(pupils(pupil(1, upn="", mis_id="", reg_group="9E"))).counts == {"changed": 1}


def test_nobody_decides_for_another_academy(desk: Desk) -> None:
    desk.take(pupils(pupil(1, upn="", mis_id="")))
    desk.take(pupils(pupil(1)))
    (proposal,) = imports.select_open_proposals(desk.box.db)
    birch = desk.box.staff(Role.DSL, academy_id="birch")
    with pytest.raises(NotAllowedError):
        decide_match(desk.box.open_as(birch), birch, proposal.id, "same", NOW, desk.box.new_id)


def test_two_records_become_one_and_are_parted_again(desk: Desk) -> None:
    desk.take(pupils(pupil(1), pupil(2, upn="", mis_id="")))
    dsl = desk.box.staff(Role.DSL, academy_id="ashby")
    here = desk.box.open_as(dsl)
    keep, other = (desk.one("SELECT id FROM pupil WHERE surname = ?", f"Tester{n}")[0] for n in (1, 2))
    event = desk.box.received(account="user2")
    before = desk.everything()
    have_merged(here, dsl, keep, other, NOW, desk.box.new_id)
    assert box_imports.run_waiting(desk.box.config, desk.box.db, NOW, lambda line: None)
    assert desk.one("SELECT pupil_id FROM event WHERE id = ?", event) == (keep,)
    assert [one.id for one in people.select_pupils(here)] == [keep]
    (merge,) = imports.select_decisions(here)
    have_undone(here, dsl, merge, NOW)
    desk.run(merge.id)
    assert desk.everything() == before
    assert desk.one("SELECT pupil_id FROM event WHERE id = ?", event) == (other,)


# ---- moving, leaving ----


def test_a_pupil_who_moves_keeps_one_record_and_the_old_academy_its_sight(desk: Desk) -> None:
    desk.take(pupils(pupil(1)))
    (pupil_id,) = desk.one("SELECT id FROM pupil")
    old_dsl = desk.box.staff(Role.DSL, academy_id="ashby")
    event = desk.box.received(account="user1")
    moved = pupils(pupil(1, mis_id="77"))
    assert desk.take(moved, academy="birch").counts == {"doubtful": 1}  # still on roll at Ashby
    desk.take(pupils([*pupil(1), "20/11/2026"], head=[*HEAD, "leaving"]))
    before = desk.everything()
    one = desk.take(moved, academy="birch")
    assert one.counts == {"changed": 1}
    assert desk.one("SELECT id, academy_id, left_on FROM pupil") == (pupil_id, "birch", None)
    seen = people.get_pupil(desk.box.open_as(old_dsl), pupil_id)
    assert seen is not None and seen.academy_name == "Birch"
    from appliance.store import events

    assert events.get_event(desk.box.open_as(old_dsl), event) is not None
    new_dsl = desk.box.staff(Role.DSL, academy_id="birch")
    assert people.get_pupil(desk.box.open_as(new_dsl), pupil_id) is not None
    assert events.get_event(desk.box.open_as(new_dsl), event) is None
    cedar = desk.box.staff(Role.DSL, academy_id="cedar")
    assert people.get_pupil(desk.box.open_as(cedar), pupil_id) is None
    desk.undo(one)
    assert desk.everything() == before


def test_a_pupil_of_another_trust_is_another_pupil(desk: Desk) -> None:
    desk.take(pupils(pupil(1)))
    assert desk.take(pupils(pupil(1)), academy="cedar").counts == {"added": 1}


def test_a_leaver_stays_with_a_retention_date_and_comes_back(desk: Desk) -> None:
    desk.take(pupils(pupil(1)))
    left = desk.take(pupils([*pupil(1), "20/07/2026"], head=[*HEAD, "leaving"]))
    assert left.counts == {"left": 1}
    assert desk.one("SELECT left_on, retain_until FROM pupil") == ("2026-07-20", "2038-05-02")
    desk.take(pupils(pupil(1)))  # a report that says nothing of leaving
    assert desk.one("SELECT left_on FROM pupil") == ("2026-07-20",)
    desk.take(pupils([*pupil(1), ""], head=[*HEAD, "leaving"]))
    assert desk.one("SELECT left_on, retain_until FROM pupil") == (None, None)


def test_who_is_missing_from_a_whole_roll_has_left_unless_it_is_no_whole_roll(desk: Desk) -> None:
    desk.take(pupils(*(pupil(n) for n in range(1, 31))))
    few = desk.take(pupils(*(pupil(n) for n in range(1, 5))), whole_roll=True)
    assert few.counts == {"same": 4} and "26 of 30" in (few.problem or "")
    most = desk.take(pupils(*(pupil(n) for n in range(1, 29))), whole_roll=True)
    assert most.counts == {"same": 28, "left": 2}
    assert desk.one("SELECT count(*) FROM pupil WHERE left_on = ?", date(2026, 11, 23).isoformat()) == (2,)


# ---- formats ----


def test_a_transfer_file_creates_fills_and_never_overwrites(desk: Desk) -> None:
    name = "8201234_CTF_8205678_001.xml"
    one = desk.take(ctf([ctf_pupil()]), name)
    assert one.counts == {"added": 1} and "version 25" not in (one.problem or "")
    assert desk.one("SELECT count(*) FROM pupil_contact") == (2,)
    assert desk.one("SELECT year, possible, attended FROM attendance_total") == (2025, 380, 350)
    desk.undo(one)
    assert desk.one("SELECT count(*) FROM attendance_total") == (0,)
    desk.take(pupils([upn(1), "1001", "Leary", "Zoe", "28/02/2014", "", "8B", "N", ""]))
    again = desk.take(ctf([ctf_pupil()]), name)
    assert again.counts == {"doubtful": 1, "changed": 1}
    surname, year, reg_group, flags = desk.one("SELECT surname, year_group, reg_group, flags FROM pupil")
    assert (surname, year, reg_group, json.loads(flags)) == ("Leary", "8", "8B", [])
    (why,) = desk.rows(again, Outcome.DOUBTFUL)
    assert "O’LEARY-TEST" in why and "“Leary” here" in why and "marker “lac”" in why


def test_oneroster_and_wonde_are_taken_with_accounts_and_contacts(desk: Desk) -> None:
    users = [{"sourcedId": "u1", "role": "student", "username": "SamT", "givenName": "Sam", "familyName": "Test",
              "userIds": f"{{UPN:{upn(1)}}}", "agentSourcedIds": "g"},
             {"sourcedId": "g", "role": "parent", "givenName": "Ann", "familyName": "Test", "phone": "01632 960001"}]  # fmt: skip  # noqa: E501
    assert desk.take(oneroster(users), "roster.zip").counts == {"added": 1}
    assert desk.one("SELECT account FROM pupil_account") == ("samt",)
    assert desk.one("SELECT name, phone FROM pupil_contact") == ("Ann Test", "01632 960001")
    assert desk.take(wonde([wonde_student(2)]), "students.json").counts == {"added": 1}
    assert desk.take(wonde([wonde_student(2)]), "students.json").counts == {"same": 1}


def test_a_row_of_another_academy_is_refused_and_a_trusts_file_finds_its_academies(desk: Desk) -> None:
    for academy, laestab in (("ashby", "8201234"), ("birch", "8205678")):
        desk.box.db.conn.execute("UPDATE academy SET laestab = ? WHERE id = ?", [laestab, academy])
    data = pupils([*pupil(1), "8201234"], [*pupil(2), "820/5678"], [*pupil(3), "9999999"],
                  head=[*HEAD, "academy_laestab"])  # fmt: skip
    assert desk.take(data).counts == {"added": 1, "refused": 2}
    said: list[str] = []
    path = desk.box.config.home / "trust.csv"
    path.write_bytes(data)
    assert box_imports.import_mis(desk.box.config, path, None, "larch", False, False, desk.now, said.append) == 0
    assert dict(desk.box.db.conn.execute("SELECT upn, academy_id FROM pupil").fetchall()) == {
        upn(1): "ashby", upn(2): "birch",
    }  # fmt: skip
    assert "1 same" not in said[-2] and "1 added" in said[-2] and "Tester" not in " ".join(said)
    import_id = said[-1].rsplit(" ", 1)[1]
    assert box_imports.undo(desk.box.config, import_id, desk.now, said.append) == 0
    assert desk.one("SELECT count(*) FROM pupil") == (1,)


def test_contacts_and_behaviour_hang_on_their_pupil(desk: Desk) -> None:
    desk.take(pupils(pupil(1), pupil(2)))
    head = ["upn", "priority", "name", "relation", "parental_responsibility", "phone", "email"]
    contacts = table([head, [upn(1), "2", "Bo T", "Father", "No", "01632 960002", ""],
                      [upn(1), "1", "Ann T", "Mother", "Yes", "01632 960001", "Ann@home.example"],
                      [upn(2), "1", "Ann T", "Mother", "Yes", "", "ann@home.example"], [upn(9), "1", "X", "", "", "", ""]])  # fmt: skip  # noqa: E501
    one = desk.take(contacts, "contacts.csv")
    assert one.counts == {"changed": 2, "refused": 1}
    assert desk.take(contacts, "contacts.csv").counts == {"same": 2, "refused": 1}
    behaviour = table([["upn", "datetime", "type", "description"], [upn(1), "05/09/2026 13:45", "Fight", "In the yard"],
                       [upn(1), "05/09/2026 13:45", "Fight", "In the yard"]])  # fmt: skip
    assert desk.take(behaviour, "b.csv").counts == {"added": 1, "same": 1}
    assert desk.take(behaviour, "b.csv").counts == {"same": 2}


def test_an_account_of_another_pupil_is_left_with_them(desk: Desk) -> None:
    desk.take(pupils(pupil(1)))
    one = desk.take(pupils(pupil(2, account="USER1")))
    assert one.counts == {"added": 1, "doubtful": 1}
    (pupil_id,) = desk.one("SELECT id FROM pupil WHERE upn = ?", upn(1))
    assert desk.one("SELECT pupil_id FROM pupil_account WHERE account = 'user1'") == (pupil_id,)


# ---- marks ----


def marks(*rows: tuple[int, str, str, str]) -> bytes:
    return table(
        [["UPN", "Date", "Session", "Mark"], *([upn(n), day, session, code] for n, day, session, code in rows)]
    )


def test_marks_become_one_register_and_a_later_file_changes_only_its_own(desk: Desk) -> None:
    desk.take(pupils(pupil(1), pupil(2)))
    first = desk.take(marks((1, "07/09/2026", "AM", "/"), (1, "07/09/2026", "PM", "N"), (2, "07/09/2026", "AM", "C1"),
                            (1, "08/09/2026", "AM", "N"), (9, "07/09/2026", "AM", "/"), (1, "08/09/2026", "PM", "ZZ"),
                            (1, "08/09/2036", "PM", "/")), "m.csv")  # fmt: skip
    assert first.counts == {"refused": 3, "marks": 4, "added": 2}
    query = "SELECT possible, attended, unauthorised, run_from, run_sessions FROM attendance ORDER BY possible DESC"
    assert desk.one(query) == (3, 1, 2, "2026-09-07", 2)
    before = desk.everything()
    night = marks((1, "07/09/2026", "PM", "I"), (1, "09/09/2026", "AM", "N"), (2, "07/09/2026", "AM", "-"))
    second = desk.take(night, "night.csv")
    assert second.counts == {"marks": 2, "changed": 1}
    query = "SELECT authorised, run_from, run_sessions FROM attendance ORDER BY possible DESC"
    assert desk.one(query) == (1, "2026-09-08", 2)
    assert desk.take(night, "night.csv").counts == {"marks": 2, "same": 1}
    desk.undo(second)
    assert desk.everything() == before
    desk.undo(first)
    assert desk.one("SELECT count(*) FROM attendance") == (0,)


# ---- the portal's way, the watched folder, the command line ----


def test_columns_that_an_academy_chose_are_remembered_for_the_next_file(desk: Desk) -> None:
    dsl = desk.box.staff(Role.DSL, academy_id="ashby")
    here = desk.box.open_as(dsl)
    data = table([["Ref", "Last", "First"], [upn(1), "Tester", "Sam"]])

    def send() -> Import:
        def keep(import_id: str) -> Any:
            return open_new(desk.box.config.imports, import_id)

        return send_file(here, dsl, "ashby", "odd.csv", io.BytesIO(data), {}, keep, NOW, desk.box.new_id)

    from appliance.exchange.mis_csv import Columns

    one = send()
    assert one.state is ImportState.MAPPING
    columns = Columns("pupils", {"upn": "Ref", "surname": "Last", "forename": "First"})
    choose_columns(here, dsl, one, columns, read_head(io.BytesIO(data)).columns, NOW)
    planned = desk.run(one.id)
    assert (planned.state, planned.counts) == (ImportState.PLANNED, {"added": 1})
    have_applied(here, dsl, planned, NOW)
    assert desk.run(one.id).state is ImportState.APPLIED
    assert send().state is ImportState.TO_PLAN
    birch = desk.box.staff(Role.DSL, academy_id="birch")
    assert imports.get_import(desk.box.open_as(birch), one.id) is None
    with pytest.raises(NotAllowedError):
        send_file(here, dsl, "birch", "x.csv", io.BytesIO(data), {}, lambda _: io.BytesIO(), NOW, desk.box.new_id)
    with pytest.raises(NotAllowedError):
        have_applied(desk.box.open_as(birch), birch, planned, NOW)
    with pytest.raises(ImportRefusedError):
        have_applied(here, dsl, planned, NOW)  # it has moved on meanwhile


def test_the_watched_folder_takes_settled_files_of_known_academies_once(desk: Desk, tmp_path: Path) -> None:
    from dataclasses import replace

    desk.box.db.conn.execute("UPDATE academy SET laestab = '8201234' WHERE id = 'ashby'")
    watched = tmp_path / "watched"
    config = replace(desk.box.config, mis_folder=str(watched))
    now = datetime.fromtimestamp(time.time(), NOW.tzinfo)
    assert box_imports.watch_folder(config, desk.box.db, now, lambda line: None) == 0
    for folder in ("8201234", "9999999"):
        (watched / folder).mkdir(parents=True)
    settled, fresh = watched / "8201234" / "night.csv", watched / "8201234" / "growing.csv"
    for path in (settled, fresh, watched / "9999999" / "x.csv"):
        path.write_bytes(pupils(pupil(1)))
    (watched / "8201234" / "link.csv").symlink_to("/etc/passwd")
    os.utime(settled, (now.timestamp() - 300, now.timestamp() - 300))
    assert box_imports.watch_folder(config, desk.box.db, now, lambda line: None) == 1
    assert not settled.exists() and fresh.exists()
    assert box_imports.run_waiting(config, desk.box.db, now, lambda line: None)
    assert desk.one("SELECT academy_id FROM pupil") == ("ashby",)
    assert box_imports.watch_folder(config, desk.box.db, now, lambda line: None) == 0


def test_the_command_line_says_what_it_did_and_names_nobody(desk: Desk, tmp_path: Path) -> None:
    path, said = tmp_path / "p.csv", list[str]()
    path.write_bytes(pupils(pupil(1), pupil(2, upn="A801200005001")))
    act = box_imports.import_mis
    assert act(desk.box.config, path, None, None, False, False, NOW, said.append) == 1
    assert act(desk.box.config, path, "ashby", None, True, False, NOW, said.append) == 0
    assert desk.one("SELECT count(*) FROM pupil") == (0,)
    assert act(desk.box.config, path, "ashby", None, False, False, NOW, said.append) == 0
    assert desk.one("SELECT count(*) FROM pupil") == (1,)
    assert "Tester" not in " ".join(said) and any("line 3" in line for line in said)
    assert box_imports.undo(desk.box.config, "no such", NOW, said.append) == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.tuples(st.integers(1, 6), st.sampled_from(["upn", "mis_id", "none"]), st.sampled_from(["9A", "9B"])),
            max_size=6,
        ),
        min_size=1, max_size=4,
    )
)  # fmt: skip
def test_a_dry_run_foretells_the_import_and_undoing_all_leaves_nothing(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[int, str, str]]]
) -> None:
    desk = Desk(make_box(tmp_path_factory.mktemp("box") / "box"))
    done, states = [], [desk.everything()]
    for number, file in enumerate(files):
        rows = [
            pupil(n, reg_group=group, **{name: "" for name in ("upn", "mis_id") if known == "none" or name != known})
            for n, known, group in file
        ]
        dry = desk.take(pupils(*rows), f"{number}.csv", dry=True)
        assert desk.everything() == states[-1]
        one = desk.take(pupils(*rows), f"{number}.csv")
        assert one.counts == dry.counts
        done.append(one)
        states.append(desk.everything())
    for one in reversed(done):
        assert desk.everything() == states.pop()
        assert desk.undo(one).state is ImportState.UNDONE
    assert desk.everything() == states.pop()
    assert check_chain(desk.box.db) is None
    desk.box.db.close()
