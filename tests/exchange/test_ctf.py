"""The Common Transfer File: both versions in force, others with a warning, any order, any encoding, no entity."""

import io
from collections.abc import Iterator
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.exchange.ctf import MAX_NODES, read_ctf
from appliance.safeguarding.pupil import AttendanceTotal, BadRow, FileNote, MisFileError, MisRow, PupilRow
from tests.exchange.files import ctf, ctf_pupil, element, upn

ON = date(2026, 7, 1)


def read(data: bytes, on: date = ON) -> list[MisRow]:
    return list(read_ctf(io.BytesIO(data), on))


@pytest.mark.parametrize("version", ["24.0", "25.0"])
@pytest.mark.parametrize("namespace", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_a_full_pupil_is_read_from_each_version_and_encoding(version: str, namespace: bool, encoding: str) -> None:
    more = {"Surname": "O'LEARY-TEST"} if encoding == "iso-8859-1" else {}
    if encoding == "iso-8859-1":
        more["Contacts"] = {"Contact": []}
    pupil = ctf_pupil(**more)
    if version == "24.0":
        pupil["Gender"] = pupil.pop("Sex")
    data = ctf([pupil], version, encoding.removesuffix("-sig"), namespace)
    rows = read(b"\xef\xbb\xbf" + data if encoding == "utf-8-sig" else data)
    (row,) = rows
    assert isinstance(row, PupilRow)
    assert (row.upn, row.former_upn, row.forename, row.born_on, row.sex) == (
        upn(1), upn(501), "ZOË", date(2014, 2, 28), "F",
    )  # fmt: skip
    assert (row.preferred, row.year_group, row.sen) == ("Zo", "8", "E")
    assert set(row.flags) == {"send", "ehcp", "lac", "fsm"} and set(row.flags_told) == set(row.flags)
    assert row.address == "12, Example Road, Testham, TE1 1ST" and row.accounts == ("zoe@pupil.example",)
    assert row.totals == (AttendanceTotal(2025, "Larch Primary", 380, 350, 20, 10),)
    if encoding != "iso-8859-1":
        assert row.contacts is not None
        first, second = row.contacts
        assert (first.priority, first.name, first.responsibility, first.phone) == (1, "Ms Ann O’Leary", True, "01632 960001")  # fmt: skip  # noqa: E501
        assert first.address == row.address and second.address == "3 Other Street, Testham"
        assert second.responsibility is False


def test_the_order_of_elements_does_not_matter() -> None:
    pupil = ctf_pupil()
    turned = dict(reversed(pupil.items()))
    assert read(ctf([pupil])) == read(ctf([turned]))


@pytest.mark.parametrize(("version", "words"), [("23.0", "version 23"), ("26.0", "version 26"), ("", "does not say")])
def test_another_version_is_read_with_a_warning(version: str, words: str) -> None:
    note, row = read(ctf([ctf_pupil()], version))
    assert isinstance(note, FileNote) and words in note.text
    assert isinstance(row, PupilRow) and row.sex == "F"


def test_the_version_before_the_current_one_is_no_warning_and_a_version_to_come_is() -> None:
    assert len(read(ctf([ctf_pupil()], "24.0"))) == 1
    assert isinstance(read(ctf([ctf_pupil()], "25.0"), date(2025, 3, 1))[0], FileNote)


def test_a_bad_pupil_does_not_stop_the_others() -> None:
    rows = read(ctf([ctf_pupil(UPN="Q207000016049"), ctf_pupil(2, Surname=""), ctf_pupil(3, DOB="31/02/2014"),
                     ctf_pupil(4, UPN="")]))  # fmt: skip
    assert [type(row) for row in rows] == [BadRow, BadRow, BadRow, PupilRow]
    assert isinstance(rows[0], BadRow) and "“P”" in rows[0].reason


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE CTfile [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>',
        '<!DOCTYPE CTfile SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE CTfile [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        "<!DOCTYPE CTfile>",
        '<!DOCTYPE CTfile [<!ENTITY % p SYSTEM "http://127.0.0.1/x.dtd"> %p;]>',
    ],
)
def test_document_types_and_entities_are_refused(head: str) -> None:
    data = ctf([ctf_pupil(Surname="&lol;")]).replace(b"&amp;lol;", b"&lol2;").replace(b"<CTfile", head.encode() + b"<CTfile", 1)  # fmt: skip  # noqa: E501
    with pytest.raises(MisFileError, match="document type"):
        read(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty|whole XML"),
        (b"<html></html>", "no Common Transfer File"),
        (ctf([ctf_pupil()])[:900], "no whole XML"),
        (b"<CTfile>" + b"<a>" * 100, "deep"),
        (ctf([ctf_pupil(Languages={"Type": ["x"] * (MAX_NODES + 5)})]), "elements"),
        (ctf([ctf_pupil(Notes="x" * 2_100_000)]), "characters"),
        (b'<?xml version="1.0" encoding="no-such"?><CTfile/>', "no whole XML"),
    ],
)
def test_what_is_no_transfer_file_is_refused_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(MisFileError, match=words):
        read(data)


def test_pupils_before_a_damaged_place_come_out() -> None:
    data = ctf([ctf_pupil(n) for n in range(400)])
    seen: list[MisRow] = []

    def take(rows: Iterator[MisRow]) -> None:
        for row in rows:
            seen.append(row)

    with pytest.raises(MisFileError):
        take(read_ctf(io.BytesIO(data[:-20_000]), ON))
    assert len(seen) > 200


def test_memory_is_bounded_by_one_pupil() -> None:
    class Endless(io.RawIOBase):
        """A file made as it is read."""

        def __init__(self, pupils: int) -> None:
            self.left, self.rest = pupils, b"<CTfile><CTFpupilData>"
            self.one = element("Pupil", ctf_pupil()).encode()

        def read(self, size: int = -1) -> bytes:
            while len(self.rest) < size and self.left:
                self.rest, self.left = self.rest + self.one * 20, self.left - 20
            if not self.left and b"/CTfile" not in self.rest[-20:] and self.rest:
                self.rest += b"</CTFpupilData></CTfile>"
            data, self.rest = self.rest[:size], self.rest[size:]
            return data

    import tracemalloc

    tracemalloc.start()
    try:
        count = sum(1 for _ in read_ctf(Endless(600), ON))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 600 and peak < 1_500_000


names = st.text(st.characters(categories=["L"], max_codepoint=0x24F), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 999), names, names, st.dates(date(2005, 1, 1), date(2022, 12, 31)), names),
        min_size=1, max_size=5,
    ),
    st.sampled_from(["utf-8", "utf-16"]), st.booleans(),
)  # fmt: skip
def test_what_is_written_is_read(pupils: list[tuple[int, str, str, date, str]], encoding: str, space: bool) -> None:
    made = [ctf_pupil(n, Surname=s, Forename=f, DOB=d.isoformat(), Contacts={"Contact": [{"Order": "1", "Surname": c}]})
            for n, s, f, d, c in pupils]  # fmt: skip
    rows = [row for row in read(ctf(made, encoding=encoding, namespace=space)) if isinstance(row, PupilRow)]
    assert [
        (row.upn, row.surname, row.forename, row.born_on, row.contacts[0].name) for row in rows if row.contacts
    ] == [(upn(n), s, f, d, c) for n, s, f, d, c in pupils]
