"""Saved answers of Wonde's interface."""

import io
from datetime import date

import pytest

from appliance.exchange import wonde as reader
from appliance.safeguarding.pupil import BadRow, BehaviourRow, MarkRow, MisFileError, MisRow, PupilRow
from tests.exchange.files import upn, wonde, wonde_student


def read(data: bytes) -> list[MisRow]:
    return list(reader.read_wonde(io.BytesIO(data)))


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_student_is_read_with_contacts_and_flags(wrapped: bool) -> None:
    (row,) = read(wonde([wonde_student()], wrapped))
    assert isinstance(row, PupilRow)
    assert (row.upn, row.mis_id, row.surname, row.forename, row.preferred) == (
        upn(1),
        "4001",
        "Tester",
        "Samuel",
        "Sam",
    )
    assert (row.born_on, row.year_group, row.entered_on) == (date(2013, 5, 6), "9", date(2024, 9, 4))
    assert row.leaving_told and row.left_on is None
    assert (set(row.flags), set(row.flags_told)) == ({"fsm", "send"}, {"fsm", "lac", "send", "ehcp"})
    assert row.contacts is not None and row.contacts[0].responsibility is True
    assert row.address == "4, Example Road, TE1 1ST" and row.accounts == ("sam@pupil.example",)


def test_marks_and_behaviour_are_read() -> None:
    mark = {"student": {"data": {"mis_id": "4001"}}, "date": {"date": "2026-09-07 00:00:00"}, "session": "PM",
            "attendance_code": {"data": {"code": "N"}}}  # fmt: skip
    incident = {"id": "B1", "incident_date": {"date": "2026-09-08 11:20:00"}, "type": "Bullying", "points": 2,
                "students": {"data": [{"mis_id": "4001", "points": 3}, {"mis_id": "4002"}]}}  # fmt: skip
    rows = read(wonde([mark, incident, {"attendance_code": "-", "date": "2026-09-07"}]))
    assert rows[0] == MarkRow(1, None, "4001", date(2026, 9, 7), True, "N")
    assert [(row.mis_id, row.points, row.at) for row in rows if isinstance(row, BehaviourRow)] == [
        ("4001", 3, "2026-09-08T11:20"), ("4002", 2, "2026-09-08T11:20"),
    ]  # fmt: skip
    assert len(rows) == 3


def test_a_bad_element_does_not_stop_the_others() -> None:
    rows = read(wonde([7, {"id": "x"}, wonde_student(education_details={"data": {"upn": "A801200005001"}}),
                       wonde_student(date_of_birth={"date": "never"}), wonde_student()]))  # fmt: skip
    assert [type(row) for row in rows] == [BadRow, BadRow, BadRow, BadRow, PupilRow]


def test_a_file_larger_than_what_is_read_at_once_comes_out_whole() -> None:
    students = [wonde_student(n, notes="x" * (n * 97 % 5000)) for n in range(400)]
    rows = read(wonde(students))
    assert [row.upn for row in rows if isinstance(row, PupilRow)] == [upn(n) for n in range(400)]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no “data” list"),
        (b"hello", "no JSON"),
        (b'{"data": [{"a": 1}', "ends in the middle"),
        (b'{"data": [{"a": ', "no whole JSON"),
        (b'{"meta": 1}', "no “data” list"),
        (b"\xff\xfe\xff", "UTF-8"),
        (b"[" * 100_000, "too deep|whole JSON"),
        (b'{"data": ["' + b"x" * 4_500_000, "far too large|whole JSON"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(MisFileError, match=words):
        read(data)
