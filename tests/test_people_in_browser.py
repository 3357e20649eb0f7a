"""Two people at two Chromium browsers: what one takes away, the other no longer has at the next click."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import chromium, sign_in
from tests.whole_box import WholeBox

SHOTS = Path(os.environ.get("TRUSTKEEP_SHOTS", Path(__file__).parents[1] / "build" / "shots"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def test_a_role_ended_in_one_browser_stops_the_other_at_its_next_click(browser: Browser, whole_box: WholeBox) -> None:
    lead = sign_in(browser, whole_box, "Trust safeguarding lead")
    technician = sign_in(browser, whole_box, "Technician")
    name = technician.locator(".person-name").inner_text().strip()
    technician.goto(f"{whole_box.url}/queue")
    expect(technician.get_by_role("heading", name="Not found")).to_be_visible()

    # the lead makes the technician a moderator
    lead.get_by_role("link", name="People").click()
    shoot(lead, "people")
    lead.get_by_role("link", name=name).click()
    lead.get_by_label("Role", exact=True).select_option(label="Moderator")
    whole = lead.get_by_label("Where").locator("option", has_text="The whole of").inner_text()
    lead.get_by_label("Where").select_option(label=whole)
    lead.get_by_role("button", name="Give the role").click()
    expect(lead.get_by_text("The role is given.").first).to_be_visible()
    shoot(lead, "person")

    # it works at the next click, and stops at the one after it was ended
    technician.goto(whole_box.url)
    technician.get_by_role("link", name=re.compile("^Queue")).click()
    expect(technician.get_by_role("heading", name="Queue")).to_be_visible()
    lead.get_by_role("button", name=re.compile("End it now ?: Moderator")).click()
    expect(lead.get_by_text("The role has ended.").first).to_be_visible()
    technician.get_by_role("link", name=re.compile("^Queue")).click()
    expect(technician.get_by_role("heading", name="Not found")).to_be_visible()
    expect(technician.get_by_role("link", name=re.compile("^Queue"))).to_have_count(0)


def test_a_lead_sees_figures_and_opens_one_record_with_a_reason(browser: Browser, whole_box: WholeBox) -> None:
    lead = sign_in(browser, whole_box, "Trust safeguarding lead")
    shoot(lead, "today-lead")
    lead.get_by_role("link", name="Figures").click()
    expect(lead.get_by_role("heading", name="Figures")).to_be_visible()
    shoot(lead, "figures")
    expect(lead.get_by_role("link", name="Concerns")).to_have_count(0)
    lead.get_by_role("link", name="Pupils", exact=True).click()
    lead.locator("main .row-link").first.click()
    expect(lead.get_by_role("heading", name="Say why you open this record")).to_be_visible()
    shoot(lead, "open-record")
    lead.get_by_label("Why you need to open it").fill("The local authority asked for the record this morning.")
    lead.get_by_role("button", name="Open the record").click()
    expect(lead.get_by_role("heading", name="Chronology")).to_be_visible()
    expect(lead.get_by_text("You opened this record with a reason.")).to_be_visible()
    shoot(lead, "opened-record")
    lead.get_by_role("link", name="Audit").click()
    expect(lead.get_by_text("opened a record with a reason").first).to_be_visible()
    shoot(lead, "audit-lead")


def test_the_switcher_narrows_to_one_academy(browser: Browser, whole_box: WholeBox) -> None:
    lead = sign_in(browser, whole_box, "Trust safeguarding lead")
    academy = lead.get_by_label("Look at").locator("option").nth(1).inner_text()
    lead.get_by_label("Look at").select_option(label=academy)
    lead.get_by_role("button", name="Look", exact=True).click()
    lead.get_by_role("link", name="Figures").click()
    expect(lead.locator("main tbody tr")).to_have_count(1)
    expect(lead.locator("main tbody")).to_contain_text(academy)
    shoot(lead, "narrowed")
