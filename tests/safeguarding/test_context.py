"""What stands around an event moves its level by one at most, says so, and hides nothing serious from a person."""

import itertools
from datetime import UTC, date, datetime, timedelta

import pytest

from appliance.safeguarding.context import (
    CONTEXT,
    CONTEXT_RULES,
    EarlierEvent,
    Surroundings,
    age_on,
    identity_alone,
    weigh_context,
)
from appliance.safeguarding.context_words import IDENTITY
from appliance.safeguarding.event import CategoryScores, EventState, Reason
from appliance.safeguarding.moderation import state_after_assessment
from appliance.safeguarding.severity import CATEGORIES, Category, Severity

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
NIGHT = datetime(2026, 3, 4, 1, 30, tzinfo=UTC)


def scores(category: Category, level: int, *words: str) -> CategoryScores:
    reasons = tuple(Reason("words", word, category, 0.5) for word in words or ("something",))
    return CategoryScores(category, Severity(level), {category: 0.9}, reasons, "test 1", 0.5)


def around(typed: str = "something", at: datetime = NOON, **more: object) -> Surroundings:
    return Surroundings(typed, at, **more)  # type: ignore[arg-type]


def level(before: CategoryScores, surroundings: Surroundings) -> int:
    return int(weigh_context(before, surroundings).level)


def said(after: CategoryScores) -> str:
    return " / ".join(reason.text for reason in after.reasons if reason.kind == CONTEXT)


LOWERED = [
    ("quotation", Category.VIOLENCE, around('"by the pricking of my thumbs something wicked this way comes"')),
    ("quotation", Category.SELF_HARM, around("to be or not to be, act 3 scene 1")),
    ("lesson", Category.VIOLENCE, around("explain how the writer shows the murder as a turning point")),
    ("lesson", Category.DRUGS, around("alcohol units", address="https://www.bbc.co.uk/bitesize/topics/z123")),
    ("song", Category.SELF_HARM, around("tears on the pillow, the song is so sad")),
    ("song", Category.DRUGS, around("pour it up", window_title="pour it up lyrics - Genius")),
    ("game", Category.VIOLENCE, around("im gonna kill u when you respawn")),
    ("game", Category.BULLYING, around("ur so trash uninstall", application="Minecraft")),
]


@pytest.mark.parametrize(("rule", "category", "surroundings"), LOWERED)
def test_lesson_song_game_and_quotation_lower_by_one_and_say_so(
    rule: str, category: Category, surroundings: Surroundings
) -> None:
    after = weigh_context(scores(category, 4), surroundings)
    assert after.level == 3
    assert any(reason.kind == CONTEXT and reason.weight == -1 for reason in after.reasons)
    assert "level 4" in said(after) and "level 3" in said(after)


def test_a_plain_denial_lowers_what_is_credible_but_nothing_serious() -> None:
    surroundings = around("i would never hurt anyone")
    assert level(scores(Category.VIOLENCE, 3), surroundings) == 2
    assert level(scores(Category.VIOLENCE, 4), surroundings) == 4


@pytest.mark.parametrize(
    "typed",
    [
        "i dont want to be here anymore, this is for my english essay",
        "my dad hits me when he is drunk (its in my story for english)",
        "lyrics: i want to die. i mean it",
        "dont tell anyone but uncle touched me, act 1 scene 2",
        "in minecraft rn but im scared to go home",
    ],
)
def test_what_sounds_like_a_disclosure_is_never_lowered(typed: str) -> None:
    for category in (Category.ABUSE, Category.SELF_HARM, Category.VIOLENCE):
        assert level(scores(category, 4), around(typed, application="Minecraft", window_title="homework")) == 4


def test_a_disclosure_in_the_lines_before_counts_too() -> None:
    surroundings = around("anyway back to the essay", context=("my stepdad hits me", "its fine"))
    assert level(scores(Category.ABUSE, 3), surroundings) == 3


def test_a_threat_somebody_else_sent_is_no_quotation() -> None:
    surroundings = around('he said "i am going to get you after school you know"')
    assert level(scores(Category.VIOLENCE, 4), surroundings) == 4


@pytest.mark.parametrize(
    ("category", "surroundings", "words"),
    [
        (Category.SELF_HARM, around(at=NIGHT), "at night, at 01:30"),
        (Category.GROOMING, around(address="https://www.omegle.com/"), "strangers"),
        (Category.SEXUAL, around(age=9), "is 9"),
        (Category.ABUSE, around(flags=("eal", "cp_plan")), "child protection plan"),
    ],
)
def test_night_strangers_age_and_markers_raise_by_one(
    category: Category, surroundings: Surroundings, words: str
) -> None:
    after = weigh_context(scores(category, 3), surroundings)
    assert after.level == 4 and words in said(after)


def test_level_5_needs_two_rules_that_agree() -> None:
    assert level(scores(Category.SELF_HARM, 4), around(at=NIGHT)) == 4
    assert level(scores(Category.SELF_HARM, 4), around(at=NIGHT, flags=("cp_plan",))) == 5


def test_level_5_is_never_lowered() -> None:
    assert level(scores(Category.SELF_HARM, 5), around("essay", window_title="lyrics")) == 5


def test_a_rule_up_and_a_rule_down_leave_the_level() -> None:
    after = weigh_context(scores(Category.SELF_HARM, 3), around("my essay on hamlet", NIGHT))
    assert after.level == 3 and "more and for less" in said(after)


def earlier(*days: int, category: Category = Category.SELF_HARM, level: int = 2) -> tuple[EarlierEvent, ...]:
    return tuple(EarlierEvent(category, Severity(level), NOON - timedelta(days=one)) for one in days)


def test_the_third_low_event_in_two_weeks_is_one_level_up() -> None:
    assert level(scores(Category.SELF_HARM, 2), around(earlier=earlier(1))) == 2
    after = weigh_context(scores(Category.SELF_HARM, 2), around(earlier=earlier(1, 9)))
    assert after.level == 3 and "3rd event of this kind (Vulnerable Person) in 14 days" in said(after)


@pytest.mark.parametrize(
    "others",
    [earlier(1, 20), earlier(1, 2, category=Category.PROFANITY), earlier(1, 2, level=4), earlier(1, -1)],
    ids=["one too old", "of another kind", "serious ones, which stand for themselves", "one after it"],
)
def test_other_events_do_not_add_up(others: tuple[EarlierEvent, ...]) -> None:
    assert level(scores(Category.SELF_HARM, 2), around(earlier=others)) == 2


def test_kinds_of_one_profile_add_up() -> None:
    others = (*earlier(2, category=Category.ABUSE), *earlier(3, category=Category.EATING_DISORDER))
    assert level(scores(Category.SELF_HARM, 2), around(earlier=others)) == 3


@pytest.mark.parametrize("word", ["muslim", "gay", "jewish", "trans", "black", "autistic", "traveller"])
def test_identity_words_alone_never_raise_and_are_set_aside_when_low(word: str) -> None:
    before = scores(Category.BULLYING, 2, f"i am {word}")
    after = weigh_context(before, around(f"i am {word}", NIGHT, age=8, flags=("cp_plan",), earlier=earlier(1, 2)))
    assert after.category is Category.NONE and after.level is Severity.NOISE
    assert "who somebody is" in said(after)


def test_identity_words_beside_others_are_weighed_like_any_text() -> None:
    assert not identity_alone(scores(Category.HATE, 3, "muslim", "terrorists"))
    assert level(scores(Category.HATE, 3, "muslim", "terrorists"), around("all muslims are terrorists")) == 3


def test_a_phrase_of_the_lexicon_is_never_identity_alone() -> None:
    before = scores(Category.HATE, 3, "muslim")
    phrase = Reason("phrase", "go back to your country", Category.HATE, 0.6)
    assert not identity_alone(CategoryScores(**{**_fields(before), "reasons": (*before.reasons, phrase)}))


def _fields(one: CategoryScores) -> dict[str, object]:
    return {name: getattr(one, name) for name in ("category", "level", "scores", "reasons", "model", "threshold")}


def test_no_rule_speaks_of_identity() -> None:
    text = " ".join(sorted(IDENTITY))
    for rule, category in itertools.product(CONTEXT_RULES, CATEGORIES):
        if category is not Category.NONE and rule.step > 0:
            assert rule.find(around(text), scores(category, 3)) == ""


def test_surroundings_alone_are_never_an_event() -> None:
    nothing = CategoryScores(Category.NONE, Severity.NOISE, {}, (), "test 1", 0.5)
    assert weigh_context(nothing, around(at=NIGHT, age=8, flags=("cp_plan",), earlier=earlier(1, 2))) == nothing


def test_whatever_stands_around_it_a_serious_event_reaches_a_person_and_no_level_moves_by_two() -> None:
    texts = ["something", "essay", '"one two three four five"', "i would never hurt anyone", "lyrics", "respawn", "gay"]
    places = ["", "Minecraft", "lyrics", "bitesize", "omegle", "childline"]
    for category, before, typed, place, at, age, flags, days in itertools.product(
        [one for one in Category if one is not Category.NONE],
        Severity,
        texts,
        places,
        (NOON, NIGHT),
        (8, None),
        ((), ("cp_plan",)),
        ((), (1, 2)),
    ):
        surroundings = around(typed, at, window_title=place, age=age, flags=flags, earlier=earlier(*days))
        after = weigh_context(scores(category, before, typed), surroundings)
        assert abs(after.level - before) <= 1
        assert (after.level != before) <= any(reason.kind == CONTEXT for reason in after.reasons)
        if before >= Severity.SERIOUS:
            state = state_after_assessment(after.category, after.level, Category.NONE)
            assert state is EventState.AWAITING_MODERATION


@pytest.mark.parametrize(
    ("born_on", "year_group", "age"),
    [
        (date(2015, 3, 5), "6", 10),
        (date(2015, 3, 4), None, 11),
        (None, "Year 9", 13),
        (None, "R", 4),
        (None, "13", 17),
        (None, "", None),
        (None, "Mixed", None),
        (None, None, None),
    ],
)
def test_age_comes_from_the_birthday_or_else_the_year_group(
    born_on: date | None, year_group: str | None, age: int | None
) -> None:
    assert age_on(born_on, year_group, date(2026, 3, 4)) == age
