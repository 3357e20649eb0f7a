"""Registers: what is counted, runs without a reason, and absence that follows an event."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.exchange.codes import attendance_codes, find_code, sen_provision, year_group
from appliance.safeguarding.attendance import (
    EMPTY_YEAR,
    YEAR_LENGTH,
    Counting,
    Run,
    day_at,
    position,
    school_year,
)

COUNT = Counting(attendance_codes())
MONDAY = date(2026, 9, 7)


def register(first: date, *days: str) -> str:
    """A year's marks from a first day on; each day two signs, "" for a weekend."""
    marks = list(EMPTY_YEAR)
    for number, day in enumerate(days):
        for half, sign in enumerate(day):
            marks[position(first + timedelta(days=number), bool(half))] = sign
    return "".join(marks)


def test_the_table_of_codes_has_one_sign_for_each_and_counts_as_the_dfe_does() -> None:
    codes = attendance_codes()
    assert all(len(sign) == 1 and sign.isascii() and sign != "." for sign in codes)
    assert len({one.code for one in codes.values()}) == len(codes)
    held = {one.code for one in codes.values() if one.valid_until is None}
    assert len(held) == 34 and not {"H", "J", "Y"} & held
    summary = COUNT.summary(register(MONDAY, "/\\", "LU", "I5", "NX", "#."))
    assert (summary.possible, summary.attended, summary.authorised, summary.unauthorised) == (6, 3, 1, 2)


def test_codes_hold_from_and_until_their_day() -> None:
    assert not isinstance(find_code("H", date(2024, 8, 18)), str)
    assert "until 18/08/2024" in str(find_code("H", date(2024, 8, 19)))
    assert "from 19/08/2024" in str(find_code("C1", date(2024, 8, 18)))
    assert "no attendance code" in str(find_code("ZZ", MONDAY))


@pytest.mark.parametrize(("missed", "persistent", "severe"), [(1, False, False), (2, True, False), (10, True, True)])
def test_persistent_from_a_tenth_and_severe_from_a_half(missed: int, persistent: bool, severe: bool) -> None:
    days = ["//"] * 10
    for n in range(missed):
        days[n // 2] = days[n // 2][: n % 2] + "O" + days[n // 2][n % 2 + 1 :]
    summary = COUNT.summary(register(MONDAY, *days))
    assert (summary.possible, summary.is_persistent, summary.is_severe) == (20, persistent, severe)
    assert COUNT.summary(EMPTY_YEAR).missed_percent == 0


def test_a_run_goes_over_weekends_and_ends_at_a_reason() -> None:
    marks = register(MONDAY, "//", "/N", "NN", "NN", "N#", "", "", "NI", "OO", "//")
    assert COUNT.unexplained_runs(marks, 2026) == [
        Run(date(2026, 9, 8), date(2026, 9, 14), 7),
        Run(date(2026, 9, 15), date(2026, 9, 15), 2),
    ]
    assert COUNT.open_run(marks, 2026) is None
    run = COUNT.open_run(register(MONDAY, "//", "/N", "NN"), 2026)
    assert run == Run(date(2026, 9, 8), date(2026, 9, 9), 3)


@pytest.mark.parametrize(
    ("days", "found"),
    [
        (("//", "//", "//", "II"), date(2026, 9, 10)),  # the third school day after
        (("//", "//", "//", "//", "II"), None),  # the fourth
        (("/N",), date(2026, 9, 7)),  # the day itself
        (("II", "II"), date(2026, 9, 7)),
        (("//", "##", "##", "##", "", "", "##", "NN"), date(2026, 9, 14)),  # days nobody could attend don't count
    ],
)
def test_absence_that_starts_within_three_school_days_is_found(days: tuple[str, ...], found: date | None) -> None:
    assert COUNT.absence_after(register(MONDAY, *days), 2026, MONDAY) == found


def test_an_absence_under_way_before_the_event_is_not_laid_to_it() -> None:
    marks = register(MONDAY - timedelta(days=3), "//", "", "", "II", "II", "//")
    assert COUNT.absence_after(marks, 2026, MONDAY + timedelta(days=1)) is None
    marks = register(MONDAY - timedelta(days=3), "II", "", "", "II", "//", "NN")
    assert COUNT.absence_after(marks, 2026, MONDAY) == date(2026, 9, 9)


@given(st.dates(date(2020, 1, 1), date(2032, 12, 31)), st.booleans())
def test_every_session_has_a_place_of_its_own_year(day: date, afternoon: bool) -> None:
    place = position(day, afternoon)
    assert 0 <= place < YEAR_LENGTH and day_at(school_year(day), place) == day


@given(st.text("".join(attendance_codes()) + ".", min_size=YEAR_LENGTH, max_size=YEAR_LENGTH))
def test_sessions_add_up_and_runs_hold_only_what_has_no_reason(marks: str) -> None:
    summary = COUNT.summary(marks)
    assert summary.possible == summary.attended + summary.authorised + summary.unauthorised
    assert 0 <= summary.missed_percent <= 100
    runs = COUNT.unexplained_runs(marks, 2026, 1)
    assert sum(run.sessions for run in runs) == sum(marks.count(sign) for sign in "NOU")


def test_year_groups_and_provision_are_read_as_schools_write_them() -> None:
    written = ["Year 9", "9", "09", "Yr 10", "Reception", "Curriculum Year 7", "N2", "Year R", "nonsense"]
    assert [year_group(one) for one in written] == ["9", "9", "9", "10", "R", "7", "N2", "R", None]
    assert [sen_provision(one) for one in ("K", "SEN Support", "EHCP", "S", "P", "?")] == [
        "K",
        "K",
        "E",
        "E",
        "K",
        None,
    ]
