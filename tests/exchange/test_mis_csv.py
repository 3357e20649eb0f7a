"""CSV from a school's MIS: the presets, encodings, dates, marks, and what comes back as refused."""

import io
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.exchange.csv_out import write_pupils, write_refused
from appliance.exchange.fields import parse_date
from appliance.exchange.mis_csv import FIELDS, Columns, Head, guess, read_csv, read_head
from appliance.safeguarding.pupil import (
    AccountRow,
    BadRow,
    BehaviourRow,
    ContactRow,
    MarkRow,
    MisFileError,
    MisRow,
    PupilRow,
)
from tests.exchange.files import table, upn

HEADS = {
    "SIMS": ["Forename", "Surname", "Email", "UPN", "Year", "Reg"],
    "Arbor": ["First name", "Last name", "Email", "UPN", "Year group", "Registration form"],
    "Bromcom": ["FirstName", "LastName", "StudentEmail", "UPN", "YearGroup", "Form"],
}


def read(data: bytes, columns: Columns | None = None) -> list[MisRow]:
    found = columns or guess(read_head(io.BytesIO(data)).columns)
    assert found is not None
    return list(read_csv(io.BytesIO(data), found))


@pytest.mark.parametrize("mis", HEADS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_each_presets_pupils_are_read_in_every_encoding(mis: str, encoding: str, delimiter: str) -> None:
    data = table([HEADS[mis], ["Zoë", "O’Neil", "z@pupil.example", upn(1), "Year 9", "9A"]], encoding, delimiter)
    (row,) = read(data)
    assert isinstance(row, PupilRow)
    assert (row.forename, row.surname, row.upn, row.year_group, row.reg_group, row.accounts) == (
        "Zoë", "O’Neil", upn(1), "9", "9A", ("z@pupil.example",),
    )  # fmt: skip


def test_a_file_joined_of_two_encodings_is_read_line_by_line() -> None:
    data = table([HEADS["SIMS"], ["Zoë", "A", "", upn(1), "9", ""]]) + "Zoë,B,,,9,\r\n".encode("cp1252")
    assert [row.forename for row in read(data) if isinstance(row, PupilRow)] == ["Zoë", "Zoë"]


def test_contacts_marks_behaviour_and_accounts_are_told_apart_by_their_headings() -> None:
    heads = ["UPN", "Surname", "Priority", "Contact Name", "Relationship", "Parental Responsibility", "Telephone"]
    contact = table([heads, [upn(1), "T", "1", "Ann T", "Mother", "Yes", "01632 960001"]])
    (one,) = read(contact)
    assert isinstance(one, ContactRow) and (one.contact.priority, one.contact.responsibility) == (1, True)
    marks = read(table([["UPN", "Date", "Session", "Mark"], [upn(1), "05/09/2026", "AM", "/"],
                        [upn(1), "05/09/2026", "PM", "N"], [upn(1), "06/09/2026", "AM", "-"]]))  # fmt: skip
    assert [(one.day, one.afternoon, one.code) for one in marks if isinstance(one, MarkRow)] == [
        (date(2026, 9, 5), False, "/"), (date(2026, 9, 5), True, "N"),
    ]  # fmt: skip
    wide = read(table([["UPN", "Date", "AM", "PM"], [upn(1), "05/09/2026", "/", "\\"]]))
    assert [one.code for one in wide if isinstance(one, MarkRow)] == ["/", "\\"]
    behaviour = read(table([["upn", "datetime", "type", "severity", "points", "description", "staff"],
                            [upn(1), "05/09/2026 13:45", "Fight", "3", "-2", "In the yard", "Mr B"]]))  # fmt: skip
    assert behaviour == [BehaviourRow(2, upn(1), None, "2026-09-05T13:45", "Fight", "3", -2, "In the yard", "Mr B")]
    accounts = read(table([["upn", "username"], [upn(1), "LARCH\\sam"]]))
    assert accounts == [AccountRow(2, upn(1), None, "LARCH\\sam")]


def test_own_codes_are_mapped_and_bad_marks_say_why() -> None:
    columns = Columns("attendance", {"upn": "U", "date": "D", "session": "S", "code": "C"}, {"IH": "I"})
    day = "05/09/2026"
    rows = read(table([["U", "D", "S", "C"], [upn(1), day, "AM", "IH"], ["Q207000016049", day, "AM", "/"],
                       [upn(1), "5/9/26", "AM", "/"], [upn(1), day, "noon", "/"], ["", day, "AM", "/"],
                       [upn(1)]]), columns)  # fmt: skip
    assert isinstance(rows[0], MarkRow) and rows[0].code == "I"
    reasons = [row.reason for row in rows[1:] if isinstance(row, BadRow)]
    assert len(reasons) == 5
    for words, reason in zip(["“P”", "four digits", "no session", "says of no pupil", "cells"], reasons, strict=True):
        assert words in reason


def test_a_bad_row_comes_out_with_its_line_and_cells_and_the_rest_goes_on() -> None:
    rows = read(table([HEADS["SIMS"], ["A", "", "", "", "9", ""], ["B", "Bee", "", "A801200005001", "9", ""],
                       ["C", "Cee", "", "", "99", "", "extra"], ["D", "Dee", "", "", "99", ""]]))  # fmt: skip
    assert [(row.line, row.raw[0]) for row in rows if isinstance(row, BadRow)] == [(2, "A"), (3, "B"), (4, "C")]
    assert isinstance(rows[3], PupilRow) and rows[3].year_group is None and "99" in rows[3].warnings[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no CSV"),
        (b"\x00\x01\x02\x03", "not text"),
        (b"one column\r\n", "no CSV"),
        (b"Surname,Forename\r\n" + b"x" * 300_000, "over"),
        (b'Surname,Forename\r\n"' + b"x\n" * 100_000, "CSV|over"),
        (("a," * 900).encode(), "columns"),
    ],
)
def test_what_is_no_csv_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(MisFileError, match=words):
        list(read_csv(io.BytesIO(data), Columns("pupils", {"surname": "Surname", "forename": "Forename"})))


def test_a_column_that_is_gone_and_one_not_chosen_are_named() -> None:
    data = table([HEADS["SIMS"]])
    with pytest.raises(MisFileError, match="no column “Gone”"):
        read(data, Columns("pupils", {"surname": "Gone", "forename": "Forename"}))
    with pytest.raises(MisFileError, match="Forename"):
        read(data, Columns("pupils", {"surname": "Surname"}))


def test_the_head_shows_the_first_rows() -> None:
    head = read_head(io.BytesIO(table([["a", "b"], ["1", "2"], ["", ""], ["3", "4"]])), 2)
    assert head == Head(("a", "b"), (("1", "2"), ("3", "4")))
    assert guess(["What", "Ever"]) is None


def test_refused_rows_are_written_so_that_a_spreadsheet_runs_nothing() -> None:
    made = io.StringIO()
    write_refused(["Name"], [(4, "No name.", ("=cmd()", "-"))], made)
    assert made.getvalue().splitlines() == ["line,reason,Name", "4,No name.,'=cmd(),-"]


@pytest.mark.parametrize(
    ("text", "day"),
    [("05/09/2026", date(2026, 9, 5)), ("5-9-2026", date(2026, 9, 5)), ("2026-09-05T10:00", date(2026, 9, 5)),
     ("5 September 2026", date(2026, 9, 5)), ("05.09.2026 10:30", date(2026, 9, 5)), ("", None)],
)  # fmt: skip
def test_dates_are_day_month_year(text: str, day: date | None) -> None:
    assert parse_date(text) == day


@pytest.mark.parametrize("text", ["5/9/26", "31/02/2026", "13/13/2026", "yesterday", "05/09/1066"])
def test_what_could_be_two_dates_or_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no d"):
        parse_date(text)


names = st.text(st.characters(categories=["L", "P", "N"], max_codepoint=0x24F), min_size=1, max_size=12)
days = st.none() | st.dates(date(2000, 1, 1), date(2030, 1, 1))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 999), names, names, days, st.sampled_from(["R", "7", "13", None])), max_size=6)
)
def test_what_is_written_is_read(pupils: list[tuple[int, str, str, date | None, str | None]]) -> None:
    rows = [PupilRow(n, s, f, upn(u), None, str(u), None, d, year_group=y, leaving_told=True)
            for n, (u, s, f, d, y) in enumerate(pupils, start=2)]  # fmt: skip
    made = io.StringIO(newline="")
    write_pupils(rows, made)
    assert read(made.getvalue().encode()) == rows


def test_every_field_a_preset_names_is_one_the_reader_knows() -> None:
    from appliance.exchange.codes import data_file, data_names

    for name in data_names("presets/"):
        for kind, fields in data_file(name)["kinds"].items():
            assert set(fields) <= set(FIELDS[kind]), (name, kind)
