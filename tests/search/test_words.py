"""What counts as a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.search.words import MOST_LETTERS, words_in


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Zoë's HURT", ["zoe", "hurt"]),
        ("don't Don\u2019t dont", ["dont", "dont", "dont"]),
        ("self-harm_worry", ["self", "harm", "worry"]),
        ("Łukasz Ærø Straße", ["lukasz", "aero", "strasse"]),
        ("see you at 10:30!", ["see", "you", "at", "10", "30"]),
        ("\u2121 \u24b6", ["tel", "a"]),
        ("'' - \u2026 \U0001f600", []),
    ],
)
def test_case_accents_and_apostrophes_make_no_difference(text: str, words: list[str]) -> None:
    assert words_in(text) == words


def test_a_run_of_letters_without_end_is_cut() -> None:
    assert words_in("a" * 5000) == ["a" * MOST_LETTERS]


@given(st.text())
def test_words_stay_the_same_when_folded_again(text: str) -> None:
    words = words_in(text)
    assert words_in(" ".join(words)) == words
    assert all(words)
