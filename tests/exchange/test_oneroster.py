"""OneRoster archives of both versions, and everything a zip may try."""

import io
import zipfile
from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.exchange import oneroster as reader
from appliance.safeguarding.pupil import BadRow, FileNote, MisFileError, MisRow, PupilRow
from tests.exchange.files import oneroster, upn

ON = date(2026, 9, 1)


def read(data: bytes) -> list[MisRow]:
    return list(reader.read_oneroster(io.BytesIO(data), ON))


def user(number: int = 1, **more: str) -> dict[str, str]:
    return {
        "sourcedId": f"u{number}", "enabledUser": "true", "orgSourcedIds": "s", "role": "student",
        "username": f"stest{number}", "userIds": f"{{UPN:{upn(number)}}},{{AD:LARCH\\stest{number}}}",
        "givenName": "Sam", "familyName": "Test", "identifier": f"A{number}", "email": f"stest{number}@pupil.example",
        "agentSourcedIds": "g1", "grades": "09", "password": "never read", **more,
    }  # fmt: skip


GUARDIAN = {"sourcedId": "g1", "orgSourcedIds": "s", "role": "guardian", "givenName": "Ann", "familyName": "Test",
            "phone": "01632 960003", "email": "ann@home.example"}  # fmt: skip
MORE: dict[str, list[Mapping[str, str]]] = {
    "demographics": [{"sourcedId": "u1", "birthDate": "2013-05-06", "sex": "female"}],
    "classes": [{"sourcedId": "c1", "title": "9A", "classType": "homeroom", "schoolSourcedId": "s"},
                {"sourcedId": "c2", "title": "Maths", "classType": "scheduled", "schoolSourcedId": "s"}],
    "enrollments": [{"sourcedId": "e2", "classSourcedId": "c2", "userSourcedId": "u1", "role": "student"},
                    {"sourcedId": "e1", "classSourcedId": "c1", "userSourcedId": "u1", "role": "student"}],
}  # fmt: skip


def without(row: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in row.items() if name not in names}


def test_version_1_1_is_read_with_guardian_form_and_user_names() -> None:
    (row,) = read(oneroster([user(), GUARDIAN, user(2, role="teacher")], **MORE))
    assert isinstance(row, PupilRow)
    assert (row.upn, row.mis_id, row.laestab, row.born_on, row.sex) == (upn(1), "u1", "8201234", date(2013, 5, 6), "F")
    assert (row.year_group, row.reg_group) == ("9", "9A")
    assert row.accounts == ("stest1", "stest1@pupil.example", "LARCH\\stest1")
    assert row.contacts is not None and [(one.name, one.phone) for one in row.contacts] == [
        ("Ann Test", "01632 960003")
    ]
    assert "never read" not in repr(row)


def test_version_1_2_takes_the_role_from_its_own_file() -> None:
    users = [without(user(), "role", "orgSourcedIds"), without(GUARDIAN, "role", "orgSourcedIds"),
             without(user(3), "role", "orgSourcedIds")]  # fmt: skip
    users[0] |= {"primaryOrgSourcedId": "s", "preferredGivenName": "Sammy"}
    roles = [{"sourcedId": "r1", "userSourcedId": "u1", "roleType": "primary", "role": "student", "orgSourcedId": "s"},
             {"sourcedId": "r2", "userSourcedId": "g1", "roleType": "primary", "role": "guardian", "orgSourcedId": "s"},
             {"sourcedId": "r3", "userSourcedId": "u3", "roleType": "primary", "role": "teacher", "orgSourcedId": "s"}]  # fmt: skip  # noqa: E501
    (row,) = read(oneroster(users, "1.2", roles=roles, **MORE))
    assert isinstance(row, PupilRow) and (row.preferred, row.laestab, row.reg_group) == ("Sammy", "8201234", "9A")
    assert row.contacts


def test_a_delta_deletes_and_says_what_it_does_with_every_row() -> None:
    stamp = {"status": "active", "dateLastModified": "2026-10-02T10:00:00Z"}
    rows = read(oneroster([user(1, **stamp), user(2, **{**stamp, "status": "tobedeleted"}), user(3)], kind="delta"))
    assert [type(row) for row in rows] == [PupilRow, PupilRow, BadRow]
    assert [row.left_on for row in rows if isinstance(row, PupilRow)] == [None, date(2026, 10, 2)]


def test_a_user_without_a_number_of_any_kind_is_taken_and_a_nameless_one_is_not() -> None:
    row, bad = read(oneroster([user(1, userIds="", identifier=""), user(2, familyName="")]))
    assert isinstance(row, PupilRow) and row.upn is None
    assert isinstance(bad, BadRow) and "name" in bad.reason


def test_ids_written_as_json_are_understood() -> None:
    assert reader.user_ids('[{"type": "UPN", "identifier": "x"}]') == [("UPN", "x")]
    assert reader.user_ids("[broken") == []
    assert reader.user_ids("{UPN:a},{ AD : b }") == [("UPN", "a"), ("AD", "b")]


def zipped(files: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


HEAD = "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\nfile.users,bulk\n"
USERS = ",".join(reader.headers("1.1")["users"]) + "\n"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"users.csv": USERS}, "no manifest"),
        ({"manifest.csv": HEAD.replace("1.1", "2.0"), "users.csv": USERS}, "version 2.0"),
        ({"manifest.csv": HEAD}, "missing, which the manifest promises"),
        ({"manifest.csv": HEAD + "file.orgs,absent\n", "users.csv": USERS, "orgs.csv": "x"}, "calls it absent"),
        ({"manifest.csv": HEAD + "file.orgs,some\n", "users.csv": USERS, "orgs.csv": "x"}, "does not know"),
        ({"manifest.csv": HEAD.replace("bulk", "absent")}, "no users.csv"),
        ({"manifest.csv": HEAD, "users.csv": USERS, "../../etc/cron.d/x": "x"}, "folders or paths"),
        ({"manifest.csv": HEAD, "users.csv": USERS, "C:\\x.csv": "x"}, "folders or paths"),
        ({"manifest.csv": HEAD, "users.csv": USERS, "/x.csv": "x"}, "folders or paths"),
        ({"manifest.csv": HEAD, "users.csv": USERS + "0,0\n" * 15_000_000}, "far more than it should"),
        ({"manifest.csv": HEAD, "users.csv": USERS, **{f"{n}.csv": "" for n in range(80)}}, "over 60 files"),
        ({"manifest.csv": HEAD, "users.csv": USERS + "x" * 250_000}, "longer than any"),
    ],
)
def test_what_is_no_archive_of_oneroster_is_refused(files: Mapping[str, str], words: str) -> None:
    with pytest.raises(MisFileError, match=words):
        read(zipped(files))


def test_a_name_twice_an_encrypted_file_and_a_lying_size_are_refused() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("manifest.csv", HEAD)
        archive.writestr("users.csv", USERS)
        archive.writestr("users.csv", USERS)
    with pytest.raises(MisFileError, match="twice"):
        read(made.getvalue())
    data = bytearray(zipped({"manifest.csv": HEAD, "users.csv": USERS}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(MisFileError, match="encrypted"):
        read(bytes(data))
    data = bytearray(zipped({"manifest.csv": HEAD, "users.csv": USERS + "a,b\n" * 500}))
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (9).to_bytes(4, "little")
    with pytest.raises(MisFileError):
        read(bytes(data))


def test_a_file_the_manifest_does_not_name_is_left_alone() -> None:
    rows = read(zipped({"manifest.csv": HEAD, "users.csv": USERS, "extra.csv": "x"}))
    assert len(rows) == 1 and isinstance(rows[0], FileNote)


names = st.text(st.characters(categories=["L", "N"], max_codepoint=0x24F), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(names, names), min_size=1, max_size=6), st.sampled_from(["bulk", "delta"]))
def test_what_is_written_is_read(pupils: list[tuple[str, str]], kind: str) -> None:
    stamp = {"status": "active", "dateLastModified": "2026-10-02T10:00:00Z"} if kind == "delta" else {}
    users = [user(n, givenName=given, familyName=family, **stamp) for n, (given, family) in enumerate(pupils)]
    rows = [row for row in read(oneroster(users, kind=kind)) if isinstance(row, PupilRow)]
    assert [(row.forename, row.surname, row.upn) for row in rows] == [(g, f, upn(n)) for n, (g, f) in enumerate(pupils)]
