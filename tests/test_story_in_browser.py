"""The seven steps of the job, played by people in Debian's Chromium against a running box. Saves what they saw."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import chromium, sign_in
from tests.whole_box import WholeBox, wait_for

SHOTS = Path(os.environ.get("TRUSTKEEP_SHOTS", Path(__file__).parents[1] / "build" / "shots"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def shoot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png")


def open_story(page: Page, box: WholeBox) -> None:
    """Find the pupil's message in the queue and open it."""
    db = box.database()
    query = "SELECT id FROM event WHERE typed LIKE '%he hurt my arm%' AND state = 'awaiting_moderation'"
    (event_id,) = wait_for("the story", lambda: db.conn.execute(query).fetchone(), within=120)
    page.goto(f"{box.url}/queue")
    shoot(page, "queue")
    page.locator(f'a[href="/events/{event_id}"]').first.click()
    expect(page.get_by_role("heading", name="What was typed")).to_be_visible()


def test_from_a_message_in_a_chat_to_the_outcome_of_a_referral(browser: Browser, whole_box: WholeBox) -> None:
    # a moderator reads the event and grades it
    moderator = sign_in(browser, whole_box, "Moderator")
    open_story(moderator, whole_box)
    event_url = moderator.url
    expect(moderator.locator("mark").first).to_be_visible()
    shoot(moderator, "event")
    moderator.get_by_role("button", name="Show the screenshot").click()
    picture = moderator.locator("[data-shot-viewer] img:not(.preview)")
    expect(picture).to_be_visible()
    wait_for("the picture", lambda: picture.evaluate("image => image.complete && image.naturalWidth") == 1366)
    picture.scroll_into_view_if_needed()
    shoot(moderator, "event-revealed")
    moderator.get_by_role("radio", name=re.compile("^4 Serious")).check()
    moderator.get_by_label("Category").select_option(label="Abuse or neglect")
    moderator.get_by_label("Note for the DSL").fill("Reads as a disclosure. She is afraid of tonight.")
    moderator.get_by_role("button", name="Confirm", exact=True).click()
    expect(moderator.get_by_text("Confirmed.").first).to_be_visible()
    expect(moderator.get_by_text("Vulnerable Person").first).to_be_visible()
    shoot(moderator, "event-confirmed")

    # the DSL is told, by message and in the portal, and the message holds nothing of the child
    db = whole_box.database()
    (pupil, typed) = db.conn.execute(
        "SELECT p.surname, e.typed FROM event e JOIN pupil p ON p.id = e.pupil_id WHERE e.id = ?",
        [event_url.rsplit("/", 1)[1]],
    ).fetchone()
    dsl_email, _ = whole_box.accounts()["Designated Safeguarding Lead"]
    # level 5 was told at once by the machine; the moderator's level 4 follows as a message of its own
    wait_for("the message", lambda: [mail for mail in whole_box.mails() if dsl_email in mail and "evel 4" in mail])
    assert all(pupil not in mail and typed not in mail for mail in whole_box.mails())
    dsl = sign_in(browser, whole_box, "Designated Safeguarding Lead")
    expect(dsl.get_by_text(re.compile("to acknowledge")).first).to_be_visible()
    shoot(dsl, "today-dsl")

    # the DSL opens a concern on the pupil's chronology
    dsl.goto(event_url)
    dsl.get_by_role("button", name="I have seen this").click()
    expect(dsl.get_by_text("Acknowledged.").first).to_be_visible()
    dsl.get_by_role("link", name="Open a concern").click()
    expect(dsl.get_by_label(re.compile("child.s own words"))).to_have_value(re.compile("he hurt my arm"))
    dsl.get_by_label("Summary").fill("Told a friend in a chat that she is hurt at home and afraid to go back tonight.")
    shoot(dsl, "concern-new")
    dsl.get_by_role("button", name="Put it on the record").click()
    expect(dsl.get_by_text("The concern is on the record.").first).to_be_visible()
    concern_url = dsl.url

    # adds an action and refers to the local authority
    dsl.get_by_text("Add an action").click()
    dsl.get_by_label("What", exact=True).fill("Spoke with her in the medical room; she stays until somebody is found.")
    dsl.get_by_label("By when").fill("2026-11-30")
    dsl.get_by_role("button", name="Add the action").click()
    expect(dsl.get_by_text("The action is on the record.").first).to_be_visible()
    dsl.get_by_text("Record a referral").click()
    dsl.get_by_label("To", exact=True).select_option("local_authority")
    dsl.get_by_label("How", exact=True).select_option("Telephone")
    dsl.get_by_label(re.compile("Person spoken to")).fill("Duty worker at the front door")
    dsl.get_by_label("Why it is referred").fill("Disclosure of being hurt at home; not safe to go home tonight.")
    dsl.get_by_role("radio", name=re.compile("Consent not sought")).check()
    dsl.get_by_label("Why without consent").fill("Asking at home could put her at more risk.")
    dsl.get_by_role("button", name="Put the referral on the record").click()
    expect(dsl.get_by_text("The referral is on the record.").first).to_be_visible()

    # records the outcome
    dsl.get_by_text("Record the outcome").first.click()
    dsl.get_by_label("What came of it").fill("Strategy meeting held; she stays with her aunt; social worker named.")
    dsl.get_by_role("button", name="Record the outcome").click()
    expect(dsl.get_by_text("The outcome is on the record.").first).to_be_visible()
    shoot(dsl, "concern")

    # all of it stands in the chronology, in order
    dsl.locator("h1 ~ p a, .event-title a").first.click()
    expect(dsl.get_by_text("Concern opened").first).to_be_visible()
    text = dsl.locator("main").inner_text()
    order = ["he hurt my arm", "Concern opened", "Spoke with her", "Referred to", "Strategy meeting held"]
    places = [text.find(words) for words in order]
    assert places == sorted(places) and -1 not in places
    shoot(dsl, "chronology")

    # and search finds it, by what the screen said and by what the DSL wrote
    for words in ("strategy meeting", "aunt"):
        wait_for("the index", lambda words=words: found_by_search(dsl, whole_box, words, concern_url))
    shoot(dsl, "search")
    assert moderator.problems == [] and dsl.problems == []  # type: ignore[attr-defined]


def found_by_search(page: Page, box: WholeBox, words: str, url: str) -> bool:
    page.goto(f"{box.url}/search?q={words}")
    return page.locator(f'main a[href="{url.removeprefix(box.url)}"]').count() > 0


def test_technician_sees_devices_and_nothing_of_a_pupil(browser: Browser, whole_box: WholeBox) -> None:
    page = sign_in(browser, whole_box, "Technician")
    page.goto(f"{whole_box.url}/devices")
    expect(page.get_by_text("NGS-LT-014").first).to_be_visible()
    shoot(page, "devices")
    assert page.get_by_role("link", name="Queue").count() == 0
    page.goto(f"{whole_box.url}/queue")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()


def test_a_phone_shows_the_queue_without_sideways_scrolling(browser: Browser, whole_box: WholeBox) -> None:
    page = sign_in(browser, whole_box, "Moderator")
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", "/queue", "/events"):
        page.goto(f"{whole_box.url}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    shoot(page, "queue-phone")
