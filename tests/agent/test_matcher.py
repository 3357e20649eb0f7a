"""The shared table of matcher cases, and what the table can't say."""

import json
from pathlib import Path
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lexicon import Lexicon, load_common_words
from agent.matcher import Matcher
from agent.normalise import fold, split_runs
from agent.policy import load_policy, parse_policy

TABLE = json.loads(Path(__file__).with_name("matcher_cases.json").read_text(encoding="utf-8"))
STARTER = Path(__file__).parents[2] / "agent" / "policies" / "starter.json"


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher(parse_policy(TABLE["policy"]))


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: f"{case['group']}: {case['text'][:40]!a}")
def test_the_table(matcher: Matcher, case: dict) -> None:
    hits = matcher.find(case["text"])
    assert [hit.rule.id for hit in hits] == case["fires"]
    if hits:
        assert case["text"][hits[0].start : hits[0].end] == case["trigger"]


def test_the_table_is_about_both_firing_and_not_firing() -> None:
    fires = [bool(case["fires"]) for case in TABLE["cases"]]
    assert fires.count(True) > 50 and fires.count(False) > 30


@given(st.text(max_size=200))
def test_any_text_can_be_read_and_every_hit_lies_in_it(matcher: Matcher, text: str) -> None:
    for hit in matcher.find(text):
        assert 0 <= hit.start < hit.end <= len(text)


@given(before=st.text(max_size=30), after=st.text(max_size=30))
def test_a_phrase_on_its_own_line_fires_whatever_stands_around_it(matcher: Matcher, before: str, after: str) -> None:
    # "home" has no exclusions, so nothing around it may silence it
    assert "home" in [hit.rule.id for hit in matcher.find(f"{before}\nnot safe at home\n{after}")]


@given(st.text(alphabet="abAB1é\u2019'\u200b @$!.", max_size=40))
def test_every_character_of_a_run_knows_its_place(text: str) -> None:
    for run in split_runs(text):
        assert len(run.text) == len(run.places)
        assert list(run.places) == sorted(run.places)
        for character, place in zip(run.text, run.places, strict=True):
            assert character in fold(text[place])[0]


def test_a_very_long_word_is_read_without_being_taken_apart(matcher: Matcher) -> None:
    assert matcher.find("a" * 200_000 + " want to die")[0].phrase == "want to die"


def test_a_policy_with_thousands_of_phrases_still_finds_its_own() -> None:
    phrases = [f"purple elephant number {one}{two}" for one in ascii_lowercase for two in ascii_lowercase]
    rules = [{"id": f"r{n}", "category": "none", "phrases": phrases[n::10]} for n in range(10)]
    matcher = Matcher(parse_policy({"version": "1", "academy": "Larkfield", "rules": rules}))
    hits = matcher.find("a purpel 3l3phant number qx came by")
    assert [hit.phrase for hit in hits] == ["purple elephant number qx"]


def test_ordinary_words_are_never_corrected_and_their_endings_are_known() -> None:
    lexicon = Lexicon({"harming", "kill"}, load_common_words())
    assert all(map(lexicon.is_common, ("farming", "stopped", "baking", "wills", "therapist")))
    assert not any(map(lexicon.is_common, ("purpel", "sucide", "kil")))
    assert [options for _, options in lexicon.read(split_runs("farming")[0])] == [("farming",)]


STARTER_FIRES = {
    "i am scarred of him": [],
    "im scared to go home tonight": ["abuse-home"],
    "he will kill me if he finds out": ["abuse-home"],
    "i dont want to be here any more": ["self-harm-direct"],
    "dont tell your mum ok": ["grooming-contact"],
    "gonna bring a knife in macbeth act 2": [],
    "my address is on the form": ["personal-data"],
    "i forgot my homework again lol": [],
}


@pytest.mark.parametrize(("text", "fires"), STARTER_FIRES.items())
def test_the_starter_policy(text: str, fires: list[str]) -> None:
    assert [hit.rule.id for hit in Matcher(load_policy(STARTER)).find(text)] == fires
