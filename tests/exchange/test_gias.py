"""A GIAS download: Windows-1252, many columns, all of England, of which one trust is taken."""

import io
from datetime import UTC, datetime

import pytest

from appliance.exchange.gias import COLUMNS, GiasError, read_trust
from appliance.gias import import_gias
from appliance.safeguarding.access import NotAllowedError, Role
from appliance.store import academies
from appliance.workflow.academies import AcademyError, import_academies, pack, read_download, unpack
from tests.factories import NOW, Box

HEAD = ["URN", "LA (code)", "LA (name)", "EstablishmentNumber", "EstablishmentName", "TypeOfEstablishment (name)",
        "EstablishmentStatus (name)", "PhaseOfEducation (name)", "Trusts (code)", "Trusts (name)", "Town"]  # fmt: skip


def line(
    urn: str, name: str, trust: str = "5001", status: str = "Open", number: str = "2004", phase: str = "Primary"
) -> str:
    cells = [urn, "865", "Wiltshire", number, name, "Academy converter", status, phase, trust, "LARCH – TRUST", "Émoor"]
    return ",".join(f'"{cell}"' for cell in cells)


def download(*lines: str, head: list[str] = HEAD) -> io.BytesIO:
    return io.BytesIO("\r\n".join([",".join(head), *lines, ""]).encode("cp1252"))


def test_one_trusts_open_schools_are_taken_with_their_names_as_written() -> None:
    file = download(
        line("100003", "St Zoë’s Catholic Primary School"),
        line("100001", "Another Trust's School", trust="9999"),
        line("100002", "Birch Academy", status="Open, but proposed to close", phase="Secondary", number="40"),
        line("100004", "Old School", status="Closed"),
        line("100005", "Sixth Form", phase="Not applicable", number=""),
    )
    found = read_trust(file, "5001")
    assert (found.code, found.name, found.closed) == ("5001", "LARCH – TRUST", 1)
    assert [(one.urn, one.laestab, one.name, one.phase) for one in found.academies] == [
        ("100002", "8650040", "Birch Academy", "Secondary"),
        ("100005", "", "Sixth Form", ""),
        ("100003", "8652004", "St Zoë’s Catholic Primary School", "Primary"),
    ]
    assert found.academies[2].short_name == "St Zoë’s Catholic Primary"
    assert not file.closed


@pytest.mark.parametrize("column", COLUMNS)
def test_a_file_without_a_column_is_refused_by_name(column: str) -> None:
    with pytest.raises(GiasError, match="edubasealldata"):
        read_trust(download(head=[name for name in HEAD if name != column]), "5001")


@pytest.mark.parametrize(
    "file", [io.BytesIO(b""), io.BytesIO(b"\x00\xff\x81"), download(), download(line("x", "No number"))]
)
def test_what_is_no_download_or_holds_nothing_is_refused(file: io.BytesIO) -> None:
    with pytest.raises(GiasError):
        read_trust(file, "5001")


def test_a_cell_too_large_for_a_csv_is_refused_plainly() -> None:
    with pytest.raises(GiasError, match="CSV"):
        read_trust(io.BytesIO(",".join(HEAD).encode() + b'\r\n"' + b"x" * 200_000), "5001")


def test_importing_adds_then_brings_up_to_date_and_keeps_ids(box: Box) -> None:
    lead = box.staff(Role.TRUST_LEAD, trust_id="larch")
    db = box.open_as(lead)
    first = read_download(download(line("100001", "Oak Primary"), line("100002", "Elm Primary", number="2005")), "5001")
    plan = import_academies(db, lead, "larch", first, NOW, box.new_id)
    assert ([one.name for one in plan.added], plan.same) == (["Elm Primary", "Oak Primary"], 0)
    assert {one.name for one in plan.strays} == {"Ashby Academy", "Birch Academy"}
    ids = {one.urn: one.id for one in academies.select_academies_of(db, "larch")}
    second = read_download(
        download(line("100001", "Oak Academy"), line("100002", "Elm Primary", number="2005")), "5001"
    )
    plan = import_academies(db, lead, "larch", unpack(pack(second)), NOW, box.new_id)
    assert ([one.name for one in plan.changed], plan.added, plan.same) == (["Oak Academy"], (), 1)
    assert {one.urn: one.id for one in academies.select_academies_of(db, "larch")} == ids
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE 'academy:%' ORDER BY seq")]
    assert kinds == ["academy:added", "academy:added", "academy:changed"]
    coded = box.db.conn.execute("SELECT actor_id, subject, detail, places FROM audit WHERE kind = 'trust:changed'")
    assert coded.fetchall() == [(lead.staff_id, "trust:larch", '{"gias_code":"5001"}', '["larch"]')]


def test_a_lead_imports_into_their_own_trust_only(box: Box) -> None:
    lead = box.staff(Role.TRUST_LEAD, trust_id="larch")
    found = read_download(download(line("100001", "Oak Primary")), "5001")
    with pytest.raises(NotAllowedError):
        import_academies(box.open_as(lead), lead, "maple", found, NOW, box.new_id)
    import_academies(box.open_as(lead), lead, "larch", found, NOW, box.new_id)
    with pytest.raises(AcademyError, match="another trust"):
        import_academies(box.db, None, "maple", found, NOW, box.new_id)


def test_the_verb_sets_up_a_second_trust_on_the_box(box: Box, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file, said = tmp_path / "edubasealldata20261123.csv", []
    file.write_bytes(download(line("100001", "Oak Primary", trust="777"), line("100002", "Elm")).getvalue())
    now = datetime(2026, 11, 23, tzinfo=UTC)
    assert import_gias(box.config, file, "777", None, True, now, said.append) == 0
    assert academies.get_trust_by_code(box.db, "777") is None
    assert import_gias(box.config, file, "777", None, False, now, said.append) == 0
    trust = academies.get_trust_by_code(box.db, "777")
    assert trust is not None and [one.name for one in academies.select_academies_of(box.db, trust.id)] == [
        "Oak Primary"
    ]
    assert import_gias(box.config, file, "123", None, False, now, said.append) == 1
    assert "no open school" in said[-1]
