"""What is typed, wherever it is typed, arrives sealed; what is protected or left alone never does."""

import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.capture import is_plain_lossless_webp
from tests.extension.box import Arrived, SmallBox
from tests.extension.browser import Browser, Page
from tests.extension.conftest import enrol, forget_events
from tests.whole_box import wait_for

OpenPage = Callable[..., Page]

PLACES = {
    "line": "document.getElementById('line')",
    "textarea": "document.getElementById('area')",
    "contenteditable": "document.getElementById('rich')",
    "frame": "document.getElementById('written').contentDocument.getElementById('inner')",
    "shadow root": "document.getElementById('host').shadowRoot.getElementById('shadowed')",
    "closed shadow root": "window.closedRoot.getElementById('hidden')",
}


@pytest.fixture(autouse=True)
def unhurried(browser: Browser) -> None:
    """No test's events count towards the limit of events a minute that the next one meets."""
    forget_events(browser)


def typed(box: SmallBox, text: str, within: float = 60) -> Arrived:
    return box.wait_for_event(lambda one: text in one.report.event.typed, f"an event with {text!r}", within)


def picture(arrived: Arrived) -> np.ndarray:
    image = Image.open(io.BytesIO(arrived.report.image))
    assert (image.width, image.height) == (arrived.report.capture.width, arrived.report.capture.height)
    return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("place", PLACES)
def test_what_is_typed_arrives(box: SmallBox, open_page: OpenPage, place: str) -> None:
    page = open_page("typing.html")
    page.focus(PLACES[place])
    words = f"today in the {place} a purpel 3l3ph@nt"
    page.type(words)
    event = typed(box, words).report.event
    assert (event.rule_id, event.trigger) == ("elephant", "purpel 3l3ph@nt")
    assert event.window_title == "An essay" and event.address.startswith("http://school.example:")
    assert event.application == "Chromium"


def test_the_image_is_lossless_and_as_large_as_the_page(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("login.html")
    page.focus("document.getElementById('other')")
    page.type("a picture of a purple elephant")
    arrived = typed(box, "a picture of a purple elephant")
    assert is_plain_lossless_webp(arrived.report.image)
    pixels = picture(arrived)
    assert pixels.shape[:2] == (page.evaluate("innerHeight"), page.evaluate("innerWidth"))
    assert (pixels[510:550, 710:750] == [0, 0, 255]).all()  # the very colour: nothing was lost
    # the fields that nobody may see are black, and the one beside them is not
    for field in ("hushed", "card", "dots"):
        assert is_black(page, pixels, f"document.getElementById('{field}')")
    assert not is_black(page, pixels, "document.getElementById('other')")


def is_black(page: Page, pixels: np.ndarray, find: str, factor: int = 1) -> bool:
    left, top, right, bottom = (round(side * factor) for side in page.box(find))
    return bool((pixels[top:bottom, left:right] == 0).all())


def test_a_password_shown_by_an_eye_button_is_in_neither_text_nor_image(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("login.html")
    page.focus("document.getElementById('hushed')")
    page.type("my purple elephant")
    page.click("document.getElementById('eye')")
    page.wait("hushed.type === 'text'")
    page.focus("document.getElementById('hushed')")
    page.type(" is a purple elephant")
    assert page.evaluate("hushed.value") == "my purple elephant is a purple elephant"
    page.focus("document.getElementById('other')")
    page.type("after the eye: scared to go home")
    arrived = typed(box, "after the eye")
    assert is_black(page, picture(arrived), "document.getElementById('hushed')")
    event = arrived.report.event
    assert "my purple" not in json.dumps([event.typed, event.context])
    assert not [one for one in box.events if "my purple elephant" in one.report.event.typed]


def test_fields_are_painted_over_whatever_the_screen_and_the_zoom(
    box: SmallBox, tmp_path: Path, unpacked: Path, pages: int
) -> None:
    fine = Browser(tmp_path / "profile", box.flag, "--force-device-scale-factor=2", extension=unpacked)
    with closing(fine):
        enrol(fine, box)
        page = fine.open(f"http://school.example:{pages}/login.html")
        page.evaluate("document.documentElement.style.height = '3000px'; scrollTo(0, 30)")
        page.focus("document.getElementById('other')")
        page.type("on a fine screen, a purple elephant")
        arrived = typed(box, "on a fine screen")
        assert arrived.report.capture is not None
        assert arrived.report.capture.width == 2 * page.evaluate("innerWidth")
        assert is_black(page, picture(arrived), "document.getElementById('hushed')", 2)
        assert not is_black(page, picture(arrived), "document.getElementById('other')", 2)


def test_a_password_field_replaced_by_a_plain_one_stays_protected(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("login.html")
    page.focus("document.getElementById('hushed')")
    page.type("swapped purple elephant")
    # as some pages do it: another element takes the place of the first, with its text
    page.evaluate("""(() => { const plain = document.createElement('input'); plain.value = hushed.value;
        plain.id = 'swapped'; plain.style = 'top:140px;left:60px'; hushed.replaceWith(plain); })()""")
    page.focus("document.getElementById('swapped')")
    page.type("!")
    page.focus("document.getElementById('other')")
    page.type("after the swap: scared to go home")
    arrived = typed(box, "after the swap")
    assert is_black(page, picture(arrived), "document.getElementById('swapped')")
    assert not [one for one in box.events if "swapped purple" in one.report.event.typed]


def test_protected_fields_in_a_frame_of_another_site_are_painted_over(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("outer.html?in=login.example")
    page.wait("document.getElementById('frame').contentWindow.length === 0")
    page.focus("document.getElementById('note')")
    page.type("frames and a purple elephant")
    pixels = picture(typed(box, "frames and a purple elephant"))
    # frame at 100, 200; border 4, padding 6; fields inside at 60, 140 and 240, 420 by 50
    left, top = 100 + 10, 200 + 10
    assert (pixels[top + 140 : top + 190, left + 60 : left + 480] == 0).all()
    assert (pixels[top + 240 : top + 290, left + 60 : left + 480] == 0).all()
    assert (pixels[top + 45 : top + 85, left + 45 : left + 400] == [255, 255, 0]).all()  # an ordinary field


def test_a_site_that_is_left_alone_is_silent(box: SmallBox, open_page: OpenPage, browser: Browser) -> None:
    page = open_page("typing.html", host="www.helpline.example")
    for place in ("line", "frame", "contenteditable"):
        page.focus(PLACES[place])
        page.type("at the helpline, a purple elephant")
    # what is typed afterwards elsewhere has come: so what came before it would have come too
    other = open_page("typing.html")
    other.focus(PLACES["line"])
    other.type("elsewhere, scared to go home")
    event = typed(box, "elsewhere, scared").report.event
    assert not [one for one in box.events if "helpline" in one.report.event.typed]
    assert not any("helpline" in line for line in event.context)


def test_a_frame_that_is_left_alone_is_not_in_the_image(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("outer.html?in=chat.helpline.example")
    page.focus("document.getElementById('note')")
    page.type("beside the helpline, a purple elephant")
    pixels = picture(typed(box, "beside the helpline"))
    assert (pixels[200:640, 100:720] == 0).all()


def test_what_a_page_writes_by_itself_is_not_taken_for_typing(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("typing.html")
    page.evaluate("""(() => { line.value = 'forged purple elephant';
        line.dispatchEvent(new InputEvent('input', {bubbles: true, composed: true})); })()""")
    page.focus(PLACES["textarea"])
    page.type("typed by hand: scared to go home")
    typed(box, "typed by hand")
    assert not [one for one in box.events if "forged" in one.report.event.typed]


def test_a_search_and_a_title_are_seen(box: SmallBox, browser: Browser, pages: int, open_page: OpenPage) -> None:
    open_page("plain.html?q=where+is+the+purple+elephant")
    event = typed(box, "where is the purple elephant").report.event
    assert event.typed == "where is the purple elephant" and event.trigger == "purple elephant"
    page = open_page("plain.html")
    page.evaluate("document.title = 'She was scared to go home: a story'")
    event = typed(box, "She was scared to go home: a story").report.event
    assert event.window_title == "She was scared to go home: a story"


def test_a_chat_is_read_on_enter_and_its_reply_is_context(box: SmallBox, browser: Browser, open_page: OpenPage) -> None:
    page = open_page("chat.html", host="chatgpt.com.example")
    page.focus("document.getElementById('box')")
    page.type("hello there\n")
    page.wait("document.querySelectorAll('[data-message-author-role]').length === 2")
    page.focus("document.getElementById('box')")
    page.type("prompt: scared to go home\n")
    event = typed(box, "prompt: scared").report.event
    assert event.typed == "prompt: scared to go home"
    assert "hello there" in event.context
    # the reply is told once it has stopped growing
    with browser.worker() as evaluate:
        kept = "chrome.storage.session.get('observer').then((all) => JSON.stringify(all).includes('Reply: I am'))"
        wait_for("the reply", lambda: evaluate(kept))
    page.type("prompt two, a purple elephant")
    later = typed(box, "prompt two").report.event
    assert "Reply: I am sorry to hear that. Who could you tell?" in later.context


def test_a_text_that_grows_is_told_once_and_again_when_it_comes_anew(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("chat.html")
    page.focus("document.getElementById('box')")
    page.type("growing purple elephant")
    typed(box, "growing purple elephant")
    page.type(" and more and more\n")
    page.type("again: growing purple elephant\n")
    typed(box, "again: growing")
    events = [one.report.event.typed for one in box.events if "growing" in one.report.event.typed]
    assert events == ["growing purple elephant", "again: growing purple elephant"]


def test_a_tab_that_is_not_in_front_gives_text_without_image(
    box: SmallBox, browser: Browser, open_page: OpenPage
) -> None:
    page = open_page("plain.html")
    front = open_page("login.html")
    front.wait("document.visibilityState === 'visible'")
    page.evaluate("document.title = 'From behind: a purple elephant'")
    arrived = typed(box, "From behind")
    assert arrived.report.capture is None


def test_i_need_help_goes_to_the_box(box: SmallBox, browser: Browser, open_page: OpenPage) -> None:
    page = browser.open(f"chrome-extension://{browser.extension_id()}/popup.html")
    page.wait("document.getElementById('badge').textContent === 'ON'")
    assert "Larkfield Academy can see" in page.evaluate("document.getElementById('words').textContent")
    assert "Mrs Finch" in page.evaluate("document.getElementById('notice').textContent")
    page.focus("document.getElementById('text')")
    page.type("could somebody talk to me please")
    page.click("document.getElementById('send')")
    page.wait("/on its way/.test(document.getElementById('said').textContent)")
    arrived = typed(box, "could somebody talk")
    event = arrived.report.event
    assert (event.rule_id, event.trigger, arrived.report.capture, event.context) == ("pupil-help", "", None, ())
    page.close()


def test_a_page_that_makes_a_rule_fire_without_end_is_held_back(
    box: SmallBox, browser: Browser, open_page: OpenPage
) -> None:
    page = open_page("chat.html")
    page.focus("document.getElementById('box')")
    for number in range(16):
        page.type(f"line {number}: {chr(97 + number) * 2} purple elephant\n")
    with browser.worker() as evaluate:
        kept = "chrome.storage.session.get('observer').then((all) => all.observer?.heldBack)"
        wait_for("four events held back", lambda: evaluate(kept) == 4)
    assert len([one for one in box.events if one.report.event.typed.startswith("line ")]) <= 12


def test_an_editor_that_draws_its_text_is_read_from_the_keys(box: SmallBox, open_page: OpenPage) -> None:
    page = open_page("canvas.html", host="canvas.example")
    page.focus("document.getElementById('keys').contentDocument.body")
    page.type("drawn: a purpll\be elephant\n")
    event = typed(box, "drawn: a purple elephant").report.event
    assert event.window_title == "A drawn document"
    assert page.evaluate("document.getElementById('keys').contentDocument.body.innerText.trim()") == ""


def test_the_notice_is_shown_and_its_acceptance_told(box: SmallBox, browser: Browser) -> None:
    address = f"chrome-extension://{browser.extension_id()}/notice.html"
    (target,) = browser.targets("page", address)  # it opened by itself
    page = browser.attach(target)
    page.wait("document.getElementById('title').textContent === 'Larkfield Academy looks after you here'")
    assert "form tutor" in page.evaluate("document.getElementById('body').textContent")
    page.click("document.getElementById('accept')")
    page.wait("/noted/.test(document.getElementById('said').textContent)")
    device = browser.device  # type: ignore[attr-defined]
    beat = box.wait_for_beat(lambda one: one["device_id"] == device and one["notice_accepted"], "the acceptance")
    assert beat["platform"] == "browser" and beat["policy_number"] == 1 and beat["permissions_missing"] == []
