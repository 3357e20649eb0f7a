"""The strict list of phrases."""

from pathlib import Path

import pytest

from appliance.safeguarding.severity import Category
from appliance.scoring.lexicon import Lexicon


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


def test_a_phrase_is_found_whatever_its_points_and_apostrophes(lexicon: Lexicon) -> None:
    found = lexicon.find("i'm fine... but nobody would, miss me")
    assert [(phrase.text, phrase.category) for phrase in found] == [("nobody would miss me", Category.SELF_HARM)]


def test_part_of_a_word_is_not_a_phrase(lexicon: Lexicon) -> None:
    assert lexicon.find("whe hits meat") == ()


def test_phrases_are_told_in_reading_order_and_once(lexicon: Lexicon) -> None:
    found = lexicon.find("nobody likes you. nobody would miss me. nobody likes you.")
    assert [phrase.text for phrase in found] == ["nobody likes you", "nobody would miss me"]


def test_every_phrase_of_the_list_finds_itself(lexicon: Lexicon) -> None:
    assert len(lexicon.phrases) >= 100
    assert all(phrase in lexicon.find(phrase.text) for phrase in lexicon.phrases)


def test_no_phrase_is_a_single_word(lexicon: Lexicon) -> None:
    assert [phrase.text for phrase in lexicon.phrases if " " not in phrase.text] == []


def test_a_list_with_an_unknown_category_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "lexicon.json"
    file.write_text('{"phrases": [{"phrase": "two words", "category": "weather", "level": 2}]}')
    with pytest.raises(ValueError, match="weather"):
        Lexicon(file)
