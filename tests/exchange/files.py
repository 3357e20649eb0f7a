"""Files as MIS write them, made from the specifications: what the readers are tried on."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from appliance.exchange.oneroster import write_archive
from appliance.exchange.upn import check_letter


def upn(number: int, authority: int = 820, school: int = 1234, year: int = 20) -> str:
    """A valid UPN of this serial number."""
    body = f"{authority:03d}{school:04d}{year:02d}{number % 1000:03d}"
    return check_letter(body) + body


def element(name: str, inner: object, prefix: str = "") -> str:
    """An element of XML; a mapping's items are its children, a list is repeated, None and empty leave it out."""
    if inner is None or inner == "":
        return ""
    if isinstance(inner, list):
        return "".join(element(name, one, prefix) for one in inner)
    if isinstance(inner, Mapping):
        text = "".join(element(key, value, prefix) for key, value in inner.items())
    else:
        text = escape(str(inner))
    return f"<{prefix}{name}>{text}</{prefix}{name}>"


def ctf(
    pupils: Sequence[Mapping[str, Any]],
    version: str = "25.0",
    encoding: str = "utf-8",
    namespace: bool = False,
    header: bool = True,
) -> bytes:
    """A Common Transfer File."""
    prefix = "c:" if namespace else ""
    head = {"DocumentName": "Common Transfer File", "CTFversion": version, "DateTime": "2026-09-12T04:26:45",
            "SourceSchool": {"LEA": "820", "Estab": "1234", "SchoolName": "Larch Primary"}}  # fmt: skip
    body = element("Header", head, prefix) if header else ""
    body += element("CTFpupilData", {"Pupil": list(pupils)}, prefix)
    root = (
        f"{prefix}CTfile{' xmlns:c=' + chr(34) + 'http://www.dcsf.gov.uk/schemas/cbds' + chr(34) if namespace else ''}"
    )
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n<{root}>{body}</{prefix}CTfile>'
    return text.encode(encoding)


def ctf_pupil(number: int = 1, **more: Any) -> dict[str, Any]:
    """A full pupil of a CTF."""
    made: dict[str, Any] = {
        "UPN": upn(number), "Surname": "O’LEARY-TEST", "Forename": "ZOË", "DOB": "2014-02-28", "Sex": "F",
        "BasicDetails": {"FormerUPN": upn(number + 500), "PreferredForename": "Zo", "NCyearActual": "8"},
        "FSMhistory": {"FSMinstance": [{"FSMstartDate": "2024-01-01"}]},
        "LookedAfter": {"InCare": "true", "CareAuthority": "820"},
        "SENhistory": {"SEN": [{"StartDate": "2022-01-01", "SENprovision": "K"},
                               {"StartDate": "2024-01-01", "SENprovision": "E"}]},
        "Address": {"BS7666Address": {"PAON": "12", "Street": "Example Road", "Town": "Testham"},
                    "PostCode": "TE1 1ST"},
        "Email": "zoe@pupil.example",
        "Contacts": {"Contact": [
            {"Order": "1", "Title": "Ms", "Surname": "O’Leary", "Forename": "Ann", "Relationship": "MOT",
             "Responsibility": "true", "AddressAsPupil": "true",
             "Phones": {"Phone": [{"TelephoneType": "M", "PhoneNo": "01632 960001"}]}},
            {"Order": "2", "Surname": "Test", "Forename": "Bo", "Relationship": "FAT", "Responsibility": "false",
             "Address": {"AddressLines": {"AddressLine1": "3 Other Street", "AddressLine2": "Testham"}},
             "Email": "bo@home.example"}]},
        "Attendance": {"YearData": [{"Year": "2025", "LEA": "820", "SchoolName": "Larch Primary",
            "SessionsPossible": "380", "SessionsAuthorised": "20", "SessionsAttended": "350",
            "SessionsUnauthorised": "10", "AttendSessions": {"AttendanceMarks": "/\\/\\"}}]},
    }  # fmt: skip
    return {**made, **more}


def oneroster(
    users: Iterable[Mapping[str, str]], version: str = "1.1", kind: str = "bulk", **files: list[Mapping[str, str]]
) -> bytes:
    """A OneRoster archive with one school."""
    made = io.BytesIO()
    orgs = [{"sourcedId": "t", "name": "Larch Trust", "type": "district"},
            {"sourcedId": "s", "name": "Ashby", "type": "school", "identifier": "820/1234"}]  # fmt: skip
    if kind == "delta":
        orgs = [{**one, "status": "active", "dateLastModified": "2026-09-01T00:00:00Z"} for one in orgs]
    write_archive(version, kind, {"orgs": orgs, "users": users, **files}, made)
    return made.getvalue()


def wonde(elements: object, wrapped: bool = True) -> bytes:
    """An answer of Wonde's, saved."""
    return json.dumps({"meta": {"pagination": {"more": False}}, "data": elements} if wrapped else elements).encode()


def wonde_student(number: int = 1, **more: Any) -> dict[str, Any]:
    """A student as Wonde describes one."""
    return {
        "id": f"A{number}", "upi": "x", "mis_id": str(4000 + number), "surname": "Tester", "forename": "Sam",
        "legal_surname": "Tester", "legal_forename": "Samuel", "gender": "MALE",
        "date_of_birth": {"date": "2013-05-06 00:00:00.000000", "timezone_type": 3, "timezone": "Europe/London"},
        "education_details": {"data": {"upn": upn(number), "former_upn": None, "current_nc_year": "9",
            "admission_date": {"date": "2024-09-04 00:00:00.000000"}, "leaving_date": None}},
        "extended_details": {"data": {"in_lea_care": False, "free_school_meals": True, "sen_status": "K"}},
        "contact_details": {"data": {"emails": {"email": "sam@pupil.example"},
            "addresses": {"home": {"house_number": "4", "street": "Example Road", "postcode": "TE1 1ST"}}}},
        "contacts": {"data": [{"title": "Mr", "forename": "Al", "surname": "Tester",
            "relationship": {"data": {"priority": 1, "relationship": "Father", "parental_responsibility": True}},
            "contact_details": {"data": {"phones": {"mobile": "01632 960002"}}}}]},
        **more,
    }  # fmt: skip


def table(rows: Iterable[Sequence[str]], encoding: str = "utf-8", delimiter: str = ",") -> bytes:
    """A CSV with these rows, the headings first."""
    made = io.StringIO()
    csv.writer(made, delimiter=delimiter).writerows(rows)
    return made.getvalue().encode(encoding)
