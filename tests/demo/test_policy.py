"""The demo's monitoring policy, and what it fires on in the recorded days, with the devices' own matcher."""

import pytest

from agent.matcher import Matcher
from agent.policy import load_policy
from appliance.safeguarding.severity import Category
from demo.content import POLICY_FILE, DayStep, load_day, load_trust

POLICY = load_policy(POLICY_FILE)
MATCHER = Matcher(POLICY)
STEPS = {
    f"{device.id}-{number}": step
    for device in load_trust().devices
    for number, step in enumerate(load_day(device.day_file), start=1)
}
WHO_SOMEBODY_IS = {
    "lesbian",
    "bisexual",
    "trans",
    "muslim",
    "jewish",
    "christian",
    "hindu",
    "sikh",
    "black",
    "autistic",
}


def fired(step: DayStep) -> str | None:
    """The rule that a device would report for this step."""
    if POLICY.excludes(step.application, step.address):
        return None
    hits = MATCHER.find(step.typed)
    return hits[0].rule.id if hits else None


def test_the_policy_is_of_a_size_that_a_dsl_can_read() -> None:
    assert 12 <= len(POLICY.rules) <= 20
    assert 200 <= sum(len(rule.phrases) for rule in POLICY.rules) <= 350


def test_every_rule_has_a_category_of_the_box_and_every_phrase_is_lower_case() -> None:
    for rule in POLICY.rules:
        assert Category(rule.category) is not Category.NONE
        assert all(phrase == phrase.lower().strip() for phrase in rule.phrases)


def test_no_phrase_stands_twice() -> None:
    phrases = [phrase.replace("'", "") for rule in POLICY.rules for phrase in rule.phrases]
    assert sorted(set(phrases)) == sorted(phrases)


def test_no_phrase_names_a_faith_an_orientation_or_an_origin() -> None:
    words = {word for rule in POLICY.rules for phrase in rule.phrases for word in phrase.split()}
    assert words & WHO_SOMEBODY_IS == set()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_the_rule_named_for_the_step_fires_and_no_other_first(step: DayStep) -> None:
    assert fired(step) == step.expect.rule


def test_a_page_of_help_is_left_unwatched_though_its_words_would_fire() -> None:
    unwatched = [step for step in STEPS.values() if POLICY.excludes(step.application, step.address)]
    assert [step.window_title for step in unwatched] == ["Talk to Us"]
    assert MATCHER.find(unwatched[0].typed)


def test_a_flat_battery_does_not_fire_the_rule_about_death() -> None:
    assert MATCHER.find("sorry my laptop died and i lost it") == ()
    assert MATCHER.find("argh i died again")[0].rule.id == "life-and-death"


def test_quick_cash_needs_the_errand_beside_it() -> None:
    assert MATCHER.find("selling my old bike is easy money") == ()
    assert MATCHER.find("easy money, just carry a bag for him")[0].rule.id == "quick-cash"
