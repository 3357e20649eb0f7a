"""The shipped model, used as the box uses it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.safeguarding.severity import CATEGORIES, Category, Severity
from appliance.scoring.scorer import Scorer

DISCLOSURES = [
    ("my stepdad hit me again last night and im scared to go home", {Category.ABUSE}),
    ("dad hits mum when he drinks and he said im next", {Category.ABUSE, Category.VIOLENCE}),
    ("i dont want to be alive anymore ive written the goodbye letters", {Category.SELF_HARM}),
    ("please can someone help i cant keep myself safe tonight", {Category.SELF_HARM}),
    ("a man i met online wants me to meet him alone and says dont tell your mum", {Category.GROOMING}),
    ("hes bringing a knife into school tomorrow to get jayden", {Category.VIOLENCE}),
]
HARD_BENIGN = [
    "this maths homework is killing me",
    "romeo kills himself because he thinks juliet is dead, act 5 scene 3",
    "how many people died in the battle of the somme",
    "i got absolutely destroyed in fortnite last night lol",
    "what is the childline number, we need it for our pshe poster",
    "write a story about a detective who finds a body in the library",
    "the knife and fork go on the outside for the starter",
    "my phone is dead again im dying of boredom on this bus",
    "explain how the nervous system responds to pain",
    "bro that goal was sick he is a beast",
]
HARMLESS_IDENTITY = [
    "i am muslim and we celebrate eid with all my cousins",
    "my two mums are coming to parents evening",
    "i came out as gay and my friends threw me a little party",
    "we are jewish so we light candles on friday",
    "my family is from nigeria and we cook jollof every sunday",
    "our polish neighbours brought us cake",
    "im bi and proud and my badge is very shiny",
    "the gurdwara gives free lunch to anyone who comes",
    "my trans brother plays bass in our band",
    "black history month assembly was really good",
]


@pytest.mark.parametrize(("text", "categories"), DISCLOSURES)
def test_a_plain_disclosure_is_serious(scorer: Scorer, text: str, categories: set[Category]) -> None:
    scores = scorer.score(text)
    assert scores.category in categories
    assert scores.level >= Severity.SERIOUS
    assert scores.scores[scores.category] >= scores.threshold


@pytest.mark.parametrize("text", HARD_BENIGN)
def test_homework_games_and_idiom_raise_nothing(scorer: Scorer, text: str) -> None:
    scores = scorer.score(text)
    assert scores.category is Category.NONE and scores.level is Severity.NOISE
    assert max(scores.scores.values()) < scores.threshold


@pytest.mark.parametrize("text", HARMLESS_IDENTITY)
def test_identity_words_alone_raise_nothing(scorer: Scorer, text: str) -> None:
    assert scorer.score(text).category is Category.NONE


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b"])
def test_no_text_is_no_concern(scorer: Scorer, text: str) -> None:
    scores = scorer.score(text)
    assert scores.category is Category.NONE and scores.level is Severity.NOISE and scores.reasons == ()
    assert set(scores.scores.values()) == {0.0}


@pytest.mark.parametrize("text", ["\U0001f600" * 300, "a" * 5000, "?!" * 800, "\x00\x01", "ﷺ", "1 2 3", "中文测试"])
def test_odd_text_gets_scores_between_nought_and_one(scorer: Scorer, text: str) -> None:
    scores = scorer.score(text)
    assert set(scores.scores) == set(CATEGORIES) - {Category.NONE}
    assert all(0 <= score <= 1 for score in scores.scores.values())


def test_a_disclosure_deep_in_a_long_text_is_found(scorer: Scorer) -> None:
    filler = "We walked along the canal and looked at the boats and the ducks. " * 40
    scores = scorer.score(filler + "My stepdad hit me again last night and I am scared to go home. " + filler)
    assert scores.category is Category.ABUSE and scores.level >= Severity.CREDIBLE
    assert scorer.score(filler).category is Category.NONE


def test_a_text_scores_the_same_alone_and_in_any_company(scorer: Scorer) -> None:
    texts = [text for text, _ in DISCLOSURES] + HARD_BENIGN
    alone = {text: scorer.score(text) for text in texts}
    assert all(scorer.score(text) == alone[text] for text in reversed(texts))


def test_two_scorers_agree(scorer: Scorer) -> None:
    other = Scorer()
    assert all(other.score(text) == scorer.score(text) for text, _ in DISCLOSURES)


def test_threads_that_share_a_scorer_agree(scorer: Scorer) -> None:
    texts = ([text for text, _ in DISCLOSURES] + HARD_BENIGN) * 3
    alone = [scorer.score(text) for text in texts]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: [scorer.score(text) for text in texts])
        second = pool.submit(lambda: [scorer.score(text) for text in reversed(texts)])
    assert first.result() == alone
    assert list(reversed(second.result())) == alone


def test_reasons_name_the_words_that_moved_the_score(scorer: Scorer) -> None:
    scores = scorer.score("my stepdad hit me again last night and im scared to go home")
    words = [reason for reason in scores.reasons if reason.kind == "words"]
    assert words and all(
        reason.text in "my stepdad hit me again last night and im scared to go home" for reason in words
    )
    assert all(-1 <= reason.weight <= 1 for reason in scores.reasons)
    assert any(reason.kind == "phrase" and reason.text == "scared to go home" for reason in scores.reasons)


def test_an_ordinary_text_has_no_reasons(scorer: Scorer) -> None:
    assert scorer.score("what time is lunch on friday").reasons == ()


def test_an_event_is_judged_by_what_was_typed(scorer: Scorer) -> None:
    scores = scorer.score_event("my stepdad hit me again last night and im scared to go home", [], "")
    assert scores.category is Category.ABUSE and scores.level >= Severity.SERIOUS
    assert [reason.text for reason in scores.reasons if reason.kind == "rule"] == ["Found in the typed text"]


def test_an_event_is_judged_by_the_screen_too(scorer: Scorer) -> None:
    screen = "File Edit View Help\nInbox\nmy stepdad hit me again last night\nand im scared to go home\n12:41\nSend"
    scores = scorer.score_event("ok", [], screen)
    assert scores.category is Category.ABUSE
    assert [reason.text for reason in scores.reasons if reason.kind == "rule"] == ["Found in the text on screen"]


def test_an_event_of_interface_and_homework_raises_nothing(scorer: Scorer) -> None:
    screen = "File Edit View Help\nThe Tudors: Henry VIII and his wives\nDue on Friday\nSubmit\n12:41"
    scores = scorer.score_event("henry the eighth had six wives", ["who was the first wife"], screen)
    assert scores.category is Category.NONE and scores.level is Severity.NOISE


def test_an_event_scores_at_least_what_its_typed_text_does(scorer: Scorer) -> None:
    for text, _ in DISCLOSURES:
        alone, event = scorer.score(text), scorer.score_event(text, ["hi", "u ok"], "Home\nlunch is at one")
        assert all(event.scores[category] >= score for category, score in alone.scores.items())


def test_an_event_without_any_text_raises_nothing(scorer: Scorer) -> None:
    assert scorer.score_event("", [], "").category is Category.NONE


def test_every_score_names_its_model(scorer: Scorer) -> None:
    assert scorer.score("hello").model == scorer.name != ""
