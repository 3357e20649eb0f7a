"""Tesseract's own time limit, and what is put right in its words."""

import time
from pathlib import Path

import numpy as np
import pytest

from appliance.ocr.engine import PAGE, Engine, _parse_row
from appliance.ocr.flatten import flatten
from appliance.ocr.image import decode
from appliance.ocr.lines import Box
from appliance.safeguarding.event import UnreadableImageError

CHAT = decode((Path(__file__).parent / "images" / "chat_light.webp").read_bytes())


def test_recognition_stops_at_its_limit_and_the_engine_can_go_on() -> None:
    engine = Engine(("eng",), None)
    many = np.tile(255 - flatten(CHAT), (5, 4))
    whole = engine.read(many, 1.5, PAGE, time.perf_counter() + 60)
    assert len(whole) > 400
    # enough for the layout to begin, a tenth of what the words need
    with pytest.raises(UnreadableImageError, match="longer than the time allowed"):
        engine.read(many, 1.5, PAGE, time.perf_counter() + 0.05)
    again = engine.read(255 - flatten(CHAT), 1.5, PAGE, time.perf_counter() + 60)
    assert "homework" in [word.text for word in again]


def row(text: str, place: str = "15\t30\t60\t15", level: int = 5) -> str:
    return f"{level}\t1\t2\t1\t3\t4\t{place}\t91.5\t{text}"


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("|", "I"),
        ("l", "I"),
        ("l,", "I,"),
        ('"|', '"I'),
        ("l'm", "I'm"),
        ("|'ve", "I've"),
        ("l\u2019ll", "I\u2019ll"),
        ("tomorrow!!", "tomorrow!!"),
        ("a|b", "a|b"),
        ("l8r", "l8r"),
        ("lol", "lol"),
        ("\u200f\u0645\u0631\u062d\u0628\u0627\u200e", "\u0645\u0631\u062d\u0628\u0627"),
    ],
)
def test_lone_strokes_become_the_pronoun_and_nothing_else_changes(read: str, meant: str) -> None:
    word = _parse_row(row(read), 1.5, (100, 100))
    assert word is not None and word.text == meant


def test_box_is_given_in_pixels_before_enlarging() -> None:
    word = _parse_row(row("tower"), 1.5, (100, 100))
    assert word is not None and word.box == Box(10, 20, 50, 30)


def test_box_never_leaves_the_picture_nor_is_empty() -> None:
    beyond, thin = (
        _parse_row(row("a", "-2\t0\t300\t900"), 1.5, (100, 120)),
        _parse_row(row("b", "9\t9\t0\t0"), 1, (99, 99)),
    )
    assert beyond is not None and beyond.box == Box(0, 0, 120, 100)
    assert thin is not None and thin.box == Box(9, 9, 10, 10)


@pytest.mark.parametrize("other", [row("line", level=4), row("  "), "level\tpage_num", ""])
def test_rows_that_are_no_words_are_passed_over(other: str) -> None:
    assert _parse_row(other, 1.5, (100, 100)) is None
