"""The renderer makes the same picture from the same scene, and its truth is what the page shows."""

from pathlib import Path

import pytest
from jinja2 import Environment
from playwright.sync_api import sync_playwright

from demo.content import load_truth
from demo.screens.render import (
    CHROMIUM,
    CHROMIUM_ARGS,
    Screen,
    code,
    compose,
    make_environment,
    photograph,
    read_screens,
    tint,
)

SCREENS = {screen.name: screen for screen in read_screens()}


@pytest.fixture(scope="module")
def environment() -> Environment:
    return make_environment()


def take_twice(environment: Environment, screen: Screen) -> list[tuple[bytes, list[str]]]:
    """The same screen rendered two times, each in a browser of its own."""
    taken = []
    for _ in range(2):
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
            taken.append(photograph(browser, compose(environment, screen), screen.size))
            browser.close()
    return taken


def test_every_screen_has_its_truth_and_every_name_is_used_once() -> None:
    assert len(SCREENS) == len(list(read_screens()))
    assert set(load_truth()) == {f"{name}.webp" for name in SCREENS}


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="the renderer needs Debian's chromium")
@pytest.mark.parametrize("name", ["pebble-kaya-tonight", "codeshed-teddy-flower"])
def test_a_screen_renders_the_same_twice_and_shows_the_words_of_its_truth(environment: Environment, name: str) -> None:
    (first, words), (second, _) = take_twice(environment, SCREENS[name])
    assert first == second
    assert tuple(words) == load_truth()[f"{name}.webp"]


def test_every_page_fetches_nothing(environment: Environment) -> None:
    for screen in SCREENS.values():
        html = compose(environment, screen)
        for door in ("src=", "<link", "@import", "<script", "url("):
            assert door not in html, f"{screen.page}: {door}"


def test_code_is_coloured_and_still_escaped() -> None:
    assert code('if x < 3: print("hi")') == (
        '<span class="kw">if</span> x &lt; <span class="nu">3</span>: '
        '<span class="fn">print</span>(<span class="st">&#34;hi&#34;</span>)'
    )


def test_a_name_keeps_its_colour() -> None:
    assert tint("Kaya Mercer") == tint("Kaya Mercer") != tint("Jess")
