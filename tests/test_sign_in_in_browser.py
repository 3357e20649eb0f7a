"""Signing in at Debian's Chromium: passkeys with its virtual authenticator, the idle lock, and two browsers at once.

The portal runs as it does on the box: its own process, behind its TLS front.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import (
    chromium,
    demo_code,
    give_code,
    give_password,
    give_security_key,
    new_page,
    sign_in,
)
from tests.whole_box import WholeBox, wait_for

DSL = "Designated Safeguarding Lead"
LEAD = "Trust safeguarding lead"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


def add_passkey(page: Page, box: WholeBox, name: str) -> None:
    page.goto(f"{box.url}/account")
    page.get_by_role("link", name="Add one").click()
    page.get_by_label("Name of the passkey").fill(name)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_a_passkey_is_added_and_signs_in_alone(browser: Browser, whole_box: WholeBox) -> None:
    page = sign_in(browser, whole_box, DSL)
    cdp, authenticator = give_security_key(page)
    add_passkey(page, whole_box, "Virtual key")
    (kept,) = cdp.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]
    assert kept["isResidentCredential"] and kept["rpId"] == "localhost"

    # with it alone: no address, no password, no code
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    page.goto(f"{whole_box.url}/pupils")
    expect(page.get_by_role("heading", name="Pupils")).to_be_visible()

    # after the password, in place of a code
    page.get_by_role("button", name="Sign out", exact=True).click()
    give_password(page, *whole_box.accounts()[DSL])
    page.get_by_role("button", name="Use your passkey").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()

    # and to unlock, where one was
    page.get_by_role("button", name="Lock").click()
    page.get_by_role("dialog").get_by_role("button", name="Use your passkey").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    assert page.problems == []  # type: ignore[attr-defined]


def test_a_passkey_without_its_users_finger_does_not_sign_in(browser: Browser, whole_box: WholeBox) -> None:
    page = sign_in(browser, whole_box, LEAD)
    cdp, authenticator = give_security_key(page)
    add_passkey(page, whole_box, "Found on a bus")
    page.get_by_role("button", name="Sign out", exact=True).click()
    cdp.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done")
    page.goto(f"{whole_box.url}/pupils")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_answer_is_good_for_one_sign_in_only(browser: Browser, whole_box: WholeBox) -> None:
    page = sign_in(browser, whole_box, LEAD)
    give_security_key(page)
    add_passkey(page, whole_box, "Recorded")
    page.get_by_role("button", name="Sign out", exact=True).click()
    with page.expect_request("**/sign-in/passkey") as sent:
        page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    # the same answer again, with the same page's token, from the same browser
    page.get_by_role("button", name="Sign out", exact=True).click()
    status = page.evaluate(
        """async (body) => {
            const token = document.querySelector("[name=csrf_token]").value;
            const headers = {"X-CSRFToken": token, "Content-Type": "application/x-www-form-urlencoded"};
            return (await fetch("/sign-in/passkey", {method: "POST", body, headers})).status;
        }""",
        sent.value.post_data,
    )
    assert status == 401


def test_signing_out_everywhere_in_one_browser_stops_the_other_at_its_next_click(
    browser: Browser, whole_box: WholeBox
) -> None:
    here, there = sign_in(browser, whole_box, DSL), sign_in(browser, whole_box, DSL)
    there.get_by_role("link", name="Pupils").click()
    expect(there.get_by_role("heading", name="Pupils")).to_be_visible()
    here.goto(f"{whole_box.url}/account")
    here.get_by_role("button", name="Sign out everywhere").click()
    expect(here.get_by_role("heading", name="Sign in")).to_be_visible()
    there.get_by_role("link", name="Concerns").click()
    expect(there.get_by_role("heading", name="Sign in")).to_be_visible()


def test_an_idle_page_goes_blank_and_comes_back_with_what_was_written(browser: Browser, whole_box: WholeBox) -> None:
    page = new_page(browser)
    page.clock.install()
    page.goto(f"{whole_box.url}/sign-in")
    give_password(page, *whole_box.accounts()[DSL])
    give_code(page, demo_code(whole_box, DSL))
    page.goto(f"{whole_box.url}/account")
    page.get_by_text("Change your password", exact=True).click()
    written = page.get_by_label("New password", exact=True)
    written.fill("half a sentence")
    other = page.context.new_page()
    other.goto(f"{whole_box.url}/pupils")
    expect(other.get_by_role("heading", name="Pupils")).to_be_visible()

    page.clock.fast_forward("14:00")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.clock.fast_forward("01:10")
    for tab in (page, other):
        expect(tab.get_by_role("dialog")).to_be_visible()
        expect(tab.locator("main")).to_be_hidden()
        expect(tab).to_have_title("Locked – Trustkeep")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_visible()

    # the box refuses too, whatever the page does
    email = whole_box.accounts()[DSL][0]
    locked = "SELECT 1 FROM session s JOIN staff p ON p.id = s.staff_id WHERE p.email = ? AND s.locked_at IS NOT NULL"
    wait_for("the lock", lambda: whole_box.database().conn.execute(locked, [email]).fetchone())
    direct = page.context.new_page()
    direct.goto(f"{whole_box.url}/pupils")
    expect(direct.get_by_role("heading", name="Locked")).to_be_visible()

    # every tab comes back, with what was being written
    page.get_by_label("Code from your app").fill("000000")
    page.get_by_role("button", name="Unlock").click()
    expect(page.get_by_role("alert").get_by_text("not the right code")).to_be_visible()
    page.get_by_label("Code from your app").fill(demo_code(whole_box, DSL))
    page.get_by_role("button", name="Unlock").click()
    for tab in (page, other):
        expect(tab.get_by_role("dialog")).to_be_hidden()
        expect(tab.locator("main")).to_be_visible()
    expect(written).to_have_value("half a sentence")
    # and forms of pages opened before still count
    page.get_by_label("Your password now").fill("not my password")
    page.get_by_label("New password again").fill("half a sentence")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("That is not your password now").first).to_be_visible()


def test_a_page_whose_token_is_of_another_session_says_so_before_more_is_written(
    browser: Browser, whole_box: WholeBox
) -> None:
    page = new_page(browser)
    page.clock.install()
    page.goto(f"{whole_box.url}/sign-in")
    give_password(page, *whole_box.accounts()[LEAD])
    give_code(page, demo_code(whole_box, LEAD))
    page.goto(f"{whole_box.url}/account")
    other = page.context.new_page()
    other.goto(f"{whole_box.url}/sign-in")
    give_password(other, *whole_box.accounts()[LEAD])
    give_code(other, demo_code(whole_box, LEAD))
    expect(other.get_by_role("heading", name="Today")).to_be_visible()
    page.clock.fast_forward("02:00")
    page.get_by_role("heading", name="Your account").click()
    expect(page.get_by_text("Nothing on this page can be saved any more")).to_be_visible()
    page.clock.fast_forward("16:00")
    expect(page.get_by_role("alert").get_by_text("can’t be unlocked any more")).to_be_visible()
