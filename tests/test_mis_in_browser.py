"""A DSL at Debian's Chromium: a file with odd columns, mapped, tried, imported, undone, and imported again."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import chromium, sign_in
from tests.exchange.files import table, upn
from tests.whole_box import WholeBox

SHOTS = Path(os.environ.get("TRUSTKEEP_SHOTS", Path(__file__).parents[1] / "build" / "shots"))
PUPILS = table(
    [["Ref", "Family", "Given", "Birthday", "Set"]]
    + [[upn(n), f"Importson{n}", "Kit", "03/04/2013", "8K"] for n in range(1, 6)]
    + [["Q207000016049", "Importson9", "Kit", "03/04/2013", "8K"]]
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def count(box: WholeBox) -> int:
    db = box.database()
    try:
        return int(db.conn.execute("SELECT count(*) FROM pupil WHERE surname LIKE 'Importson%'").fetchone()[0])
    finally:
        db.close()


def test_odd_columns_are_mapped_tried_imported_undone_and_imported_again(
    browser: Browser, whole_box: WholeBox, tmp_path: Path
) -> None:
    file = tmp_path / "report 7.csv"
    file.write_bytes(PUPILS)
    page = sign_in(browser, whole_box, "Designated Safeguarding Lead")
    page.get_by_role("link", name="Pupils", exact=True).click()
    page.get_by_role("link", name="Imports").click()
    page.get_by_label("The file", exact=True).set_input_files(file)
    shoot(page, "imports")
    page.get_by_role("button", name="Show what would change").click()

    # no preset knows these headings; a column forgotten is named, and what was chosen is not lost
    expect(page.get_by_role("heading", name="Which column holds what?")).to_be_visible()
    page.get_by_label("Surname", exact=True).select_option("Family")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_text("Choose a column for: Forename.").first).to_be_visible()
    expect(page.get_by_label("Surname", exact=True)).to_have_value("Family")
    for label, heading in (("Forename", "Given"), ("UPN", "Ref"), ("Date of birth", "Birthday"),
                           ("Registration group", "Set")):  # fmt: skip
        page.get_by_label(label, exact=True).select_option(heading)
    shoot(page, "imports-columns")
    page.get_by_role("button", name="Show what would change").click()

    # the dry run says what would be, and keeps nothing
    expect(page.get_by_text("nothing is kept yet")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("5 added, 1 refused")).to_be_visible()
    expect(page.get_by_text(re.compile("that of these digits is “P”"))).to_be_visible()
    assert count(whole_box) == 0
    shoot(page, "imports-dry-run")
    with page.expect_download() as download:
        page.get_by_role("link", name="Refused and doubtful rows as CSV").click()
    assert "Q207000016049" in Path(download.value.path()).read_text(encoding="utf-8-sig")

    page.get_by_role("button", name="Import it", exact=True).click()
    expect(page.get_by_role("button", name="Undo this import")).to_be_visible(timeout=60_000)
    assert count(whole_box) == 5
    shoot(page, "imports-done")
    page.get_by_role("button", name="Undo this import").click()
    expect(page.get_by_role("button", name="Import it again")).to_be_visible(timeout=60_000)
    assert count(whole_box) == 0
    page.get_by_role("button", name="Import it again").click()
    page.get_by_role("button", name="Import it", exact=True).click(timeout=60_000)
    expect(page.get_by_role("button", name="Undo this import")).to_be_visible(timeout=60_000)
    assert count(whole_box) == 5
    # the browser complains of the form that was sent back, as it should have been
    assert [one for one in page.problems if "422" not in one] == []  # type: ignore[attr-defined]


def take_in(page: Page, box: WholeBox, file: Path, data: bytes) -> None:
    """Send a file whose headings a preset knows, look at the columns, and import it."""
    file.write_bytes(data)
    page.goto(f"{box.url}/imports")
    page.get_by_label("The file", exact=True).set_input_files(file)
    page.get_by_role("button", name="Show what would change").click()
    expect(page.get_by_role("heading", name="Which column holds what?")).to_be_visible()
    page.get_by_role("button", name="Show what would change").click()
    page.get_by_role("button", name="Import it", exact=True).click(timeout=60_000)
    expect(page.get_by_role("button", name="Undo this import")).to_be_visible(timeout=60_000)


def test_the_record_shows_contacts_attendance_and_behaviour(
    browser: Browser, whole_box: WholeBox, tmp_path: Path
) -> None:
    page = sign_in(browser, whole_box, "Designated Safeguarding Lead")
    head = ["upn", "surname", "forename", "dob", "year", "reg_group", "account"]
    rows = [
        [upn(n), "Besideson", name, "03/04/2012", "9", "9K", f"beside{n}"] for n, name in ((51, "Kit"), (52, "Lou"))
    ]
    take_in(page, whole_box, tmp_path / "pupils.csv", table([head, *rows]))
    contacts = [[upn(n), "1", "Ann Besideson", "Mother", "Yes", "01632 960001"] for n in (51, 52)]
    contacts.append([upn(51), "2", "Bo Example", "Grandfather", "No", "01632 960002"])
    head = ["upn", "priority", "name", "relation", "parental_responsibility", "phone"]
    take_in(page, whole_box, tmp_path / "contacts.csv", table([head, *contacts]))
    today = datetime.now(UTC).date()
    days = [day for back in range(40, 0, -1) if (day := today - timedelta(days=back)).weekday() < 5]
    codes = ["//"] * (len(days) - 6) + ["LI", "II", "//", "/N", "NN", "NN"]
    marks = [[upn(51), f"{day:%d/%m/%Y}", half, code[n]] for day, code in zip(days, codes, strict=True)
             for n, half in enumerate(("AM", "PM"))]  # fmt: skip
    take_in(page, whole_box, tmp_path / "marks.csv", table([["upn", "date", "session", "code"], *marks]))
    incident = [upn(51), f"{today - timedelta(days=5):%d/%m/%Y} 11:20", "Disruption", "2", "-1", "Walked out."]
    head = ["upn", "datetime", "type", "severity", "points", "description"]
    take_in(page, whole_box, tmp_path / "behaviour.csv", table([head, incident]))
    page.goto(f"{whole_box.url}/pupils?name=Besideson")
    page.get_by_role("link", name="Besideson, Kit").click()
    for words in (
        "Ann Besideson",
        "parental responsibility",
        "Lou Besideson",
        "Absence without a reason",
        "Walked out.",
    ):
        expect(page.get_by_text(words).first).to_be_visible()
    shoot(page, "pupil-beside")
    page.goto(f"{whole_box.url}/absence")
    expect(page.get_by_role("link", name="Kit Besideson")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/absence", "/imports", "/who"):
        page.goto(f"{whole_box.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
