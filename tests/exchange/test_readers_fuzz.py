"""Broken files by the hundred through every reader: rows or one plain error, never a crash, never a hang."""

import io
import os
import time
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.exchange.ctf import read_ctf
from appliance.exchange.mis_csv import guess, read_csv, read_head
from appliance.exchange.mis_file import read_mis_file
from appliance.exchange.oneroster import read_oneroster
from appliance.exchange.wonde import read_wonde
from appliance.safeguarding.pupil import MisFileError, MisRow
from tests.exchange.files import ctf, ctf_pupil, oneroster, table, upn, wonde, wonde_student

ON = date(2026, 11, 23)
EXAMPLES = int(os.environ.get("TRUSTKEEP_FUZZ", "60"))


def any_csv(data: bytes) -> list[MisRow]:
    columns = guess(read_head(io.BytesIO(data)).columns)
    return list(read_csv(io.BytesIO(data), columns)) if columns else []


SEEDS = {
    "ctf": ctf([ctf_pupil(1), ctf_pupil(2)]),
    "ctf-16": ctf([ctf_pupil(1)], encoding="utf-16", namespace=True),
    "oneroster": oneroster([{"sourcedId": "u1", "role": "student", "givenName": "S", "familyName": "T",
                             "userIds": f"{{UPN:{upn(1)}}}"}]),
    "wonde": wonde([wonde_student(1), wonde_student(2)]),
    "pupils": table([["Forename", "Surname", "UPN", "Year"], ["A", "B", upn(1), "9"], ["Zoë", 'O"x', "", "R"]]),
    "marks": table([["UPN", "Date", "Session", "Mark"], [upn(1), "05/09/2026", "AM", "/"]] * 2),
    "behaviour": table([["upn", "datetime", "type"], [upn(1), "05/09/2026 13:45", "Fight"]]),
}  # fmt: skip
READERS = {
    "ctf": lambda data: list(read_ctf(io.BytesIO(data), ON)),
    "ctf-16": lambda data: list(read_ctf(io.BytesIO(data), ON)),
    "oneroster": lambda data: list(read_oneroster(io.BytesIO(data), ON)),
    "wonde": lambda data: list(read_wonde(io.BytesIO(data))),
    "pupils": any_csv,
    "marks": any_csv,
    "behaviour": any_csv,
}

changes = st.lists(
    st.tuples(
        st.sampled_from(["cut", "put", "turn", "twice"]), st.floats(0, 1), st.floats(0, 0.2),
        st.binary(max_size=12) | st.sampled_from([b"&lol;", b"<!DOCTYPE x>", b'"', b"\0", b"\xff", b"{", b"]", b"\r"]),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


def change(data: bytes, how: list[tuple[str, float, float, bytes]]) -> bytes:
    for verb, where, length, new in how:
        at = int(where * len(data))
        end = at + max(1, int(length * len(data)))
        if verb == "cut":
            data = data[:at] + data[end:]
        elif verb == "put":
            data = data[:at] + new + data[at:]
        elif verb == "turn":
            data = data[:at] + bytes(255 - one for one in data[at : at + 3]) + data[at + 3 :]
        else:
            data = data[:end] + data[at:]
    return data


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(how=changes)
def test_a_broken_file_gives_rows_or_one_plain_error(name: str, how: list[tuple[str, float, float, bytes]]) -> None:
    data = change(SEEDS[name], how)
    begun = time.monotonic()
    try:
        assert isinstance(READERS[name](data), list)
    except MisFileError as error:
        assert str(error)
    # no hang: files of a few kilobytes, on a machine however busy
    assert time.monotonic() - begun < 30


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_at_all_give_rows_or_one_plain_error(data: bytes) -> None:
    try:
        list(read_mis_file(io.BytesIO(data), "x", None, ON))
    except MisFileError as error:
        assert str(error)
