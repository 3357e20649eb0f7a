"""People at Debian's Chromium, with an authenticator app beside them."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, CDPSession, Page, expect, sync_playwright

from tests.factories import fresh_code
from tests.whole_box import WholeBox

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--disable-quic"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a screen."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield made
        made.close()


def new_page(browser: Browser, url: str = "") -> Page:
    """A page in a browser of its own, which keeps what its console and scripts complained of in ``problems``."""
    context = browser.new_context(ignore_https_errors=True, viewport={"width": 1366, "height": 768})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.problems = problems  # type: ignore[attr-defined]
    if url:
        page.goto(url)
    return page


def give_password(page: Page, email: str, password: str) -> None:
    """Fill in the sign-in page."""
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def give_code(page: Page, code: str) -> None:
    """Fill in the page for the second factor."""
    page.get_by_label("Code", exact=True).fill(code)
    page.get_by_role("button", name="Go on").click()


def sign_in(browser: Browser, box: WholeBox, role: str) -> Page:
    """A person of the demo trust, signed in with password and code."""
    email, password = box.accounts()[role]
    page = new_page(browser, f"{box.url}/sign-in")
    give_password(page, email, password)
    give_code(page, demo_code(box, role))
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


def demo_code(box: WholeBox, role: str) -> str:
    """What the authenticator app of a demo person shows."""
    db = box.database()
    try:
        (staff_id,) = db.conn.execute("SELECT id FROM staff WHERE email = ?", [box.accounts()[role][0]]).fetchone()
        return fresh_code(db, staff_id, box.secrets()[role])
    finally:
        db.close()


def give_security_key(page: Page, verifies: bool = True) -> tuple[CDPSession, str]:
    """Chromium's virtual authenticator on a page: keeps passkeys, and verifies its user or fails to."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": verifies,
        "automaticPresenceSimulation": True,
    }
    return cdp, cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]
