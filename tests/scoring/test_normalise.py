"""Spelling brought near to plain words before scoring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.scoring.normalise import normalise

KNOWN = frozenset(["hate", "school", "free", "help", "so", "no", "stop", "please", "sad", "the", "you", "it"])


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  I   HATE\tschool ", "i hate school"),
        ("helllllp pleaseeee", "help please"),
        ("freeee", "free"),
        ("i h4t3 $chool", "i hate school"),
        ("idk u", "i don't know you"),
        ("don’t", "don't"),
        ("s t o p it", "stop it"),
        ("st\u200bop", "stop"),
        ("sad\U0001f62d", "sad crying"),
        ("one\n\n two ", "one\ntwo"),
    ],
)
def test_chat_spelling_becomes_plain(text: str, plain: str) -> None:
    assert normalise(text, KNOWN.__contains__) == plain


@pytest.mark.parametrize("text", ["3x + 4 = 10", "1945", "room b12", "h2o", "https://example.org/a1b2"])
def test_sums_dates_rooms_and_addresses_stay_as_they_are(text: str) -> None:
    assert normalise(text, KNOWN.__contains__) == text


@given(st.text(max_size=200))
def test_any_text_can_be_normalised_and_has_no_empty_line(text: str) -> None:
    plain = normalise(text, KNOWN.__contains__)
    assert all(line == " ".join(line.split()) and line for line in plain.split("\n")) or plain == ""
