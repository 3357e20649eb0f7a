"""Asking: who can find what, in which order, and that nothing a person types can go wrong."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.search.index import Document, Indexer
from appliance.search.query import Answer, Hit, Part, find, parse_query
from appliance.search.words import words_in

_DAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

TEXTS = {
    "n1": ("northgate", "Robin Ashworth\nI am hurt and I can't tell anyone at home"),
    "n2": ("northgate", "Robin Ashworth's friend\nthey keep bullying me, hurt am I"),
    "n3": ("northgate", "Zoë Łazarz\nworried about self-harm chat on the bus"),
    "s1": ("southgate", "Sam Underhill\nsomebody said they will hurt me tomorrow"),
    "s2": ("southgate", "bullyng bullyng"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("query") / "index"
    indexer = Indexer(path)
    indexer.wipe()
    for number, (id_, (academy, text)) in enumerate(TEXTS.items()):
        at = _DAY + timedelta(hours=number)
        indexer.update([Document("event", id_, academy, at, "bullying", 3, text)])
    indexer.finish_rebuild()
    return path


def ids(answer: Answer) -> list[str]:
    assert answer.problem is None
    return [hit.id for hit in answer.hits]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("hurt", {"n1", "n2"}),
        ("HURT robin", {"n1", "n2"}),
        ("hurt AND friend", {"n2"}),
        ("hurt zoe", set()),
        ('"am hurt"', {"n1"}),
        ('"hurt am"', {"n2"}),
        ("\u201cam hurt\u201d", {"n1"}),
        ('"robin ashworth" friend', {"n2"}),
        ('"am hurt', {"n1", "n2"}),
        ("zoe lazarz", {"n3"}),
        ("ZOË", {"n3"}),
        ("cant", {"n1"}),
        ("can\u2019t", {"n1"}),
        ("self-harm", {"n3"}),
        ("harm-self", set()),
        ("ash*", {"n1", "n2"}),
        ("any* hurt", {"n1"}),
        ("self-ha*", {"n3"}),
        ("h*", set()),
        ("*", set()),
        ("freind", {"n2"}),
        ("wurried", {"n3"}),
        ('"keep buillying"', {"n2"}),
        ("hur", set()),
        ("key:event*", set()),
        ("text:hurt", set()),
        ("level:3", set()),
        ("category:bullying", set()),
        ("bullying", {"n2"}),
        ("", set()),
        ("   ", set()),
        ("(hurt", {"n1", "n2"}),
        ("hurt~", {"n1", "n2"}),
        ("hurt^2 [robin TO", set()),
    ],
)
def test_what_is_typed_finds(folder: Path, words: str, expected: set[str]) -> None:
    assert set(ids(find(folder, ["northgate"], words))) == expected


def test_only_the_given_academies_are_searched(folder: Path) -> None:
    assert set(ids(find(folder, ["southgate"], "hurt"))) == {"s1"}
    assert set(ids(find(folder, ["northgate", "southgate"], "hurt"))) == {"n1", "n2", "s1"}
    assert ids(find(folder, ["westgate"], "hurt")) == []
    assert ids(find(folder, ["*", "..", "northgate/..", "north*"], "hurt")) == []


def test_nobody_without_an_academy_finds_or_opens_anything(folder: Path) -> None:
    assert find(folder, [], "hurt") == Answer((), (), None)
    # a path that would fail if it were looked at
    assert find(Path("\0"), frozenset(), "hurt") == Answer((), (), None)


def test_a_misspelling_is_only_put_right_when_no_academy_in_reach_holds_the_word(folder: Path) -> None:
    assert set(ids(find(folder, ["northgate"], "bullyng"))) == {"n2"}
    assert set(ids(find(folder, ["northgate", "southgate"], "bullyng"))) == {"s2"}
    # what another academy holds makes no difference to what one's own answers
    assert "bullyng" not in find(folder, ["northgate"], "buillyng").terms


def test_terms_are_what_to_highlight(folder: Path) -> None:
    assert set(find(folder, ["northgate"], 'Freind "I AM Hurt"').terms) == {"freind", "friend", "hurt"}
    assert set(find(folder, ["northgate"], "Can't ash*").terms) == {"can't", "cant", "ash"}
    assert find(folder, ["northgate"], "am I").terms == ("am", "i")


def test_newest_first_among_equally_good_and_the_best_match_before_newer_ones(tmp_path: Path) -> None:
    indexer = Indexer(tmp_path)
    indexer.wipe()
    filler = " ".join(f"line{number}" for number in range(40))
    documents = [
        Document("event", f"e{day}", "northgate", _DAY + timedelta(days=day), "abuse", 3, f"Robin said {day} {filler}")
        for day in (3, 1, 2, 9)
    ]
    about = Document("concern", "about", "northgate", _DAY, "abuse", 4, "robin " * 30)
    indexer.update([*documents, about])
    indexer.finish_rebuild()
    assert ids(find(tmp_path, ["northgate"], "robin")) == ["about", "e9", "e3", "e2", "e1"]
    assert [hit.id for hit in find(tmp_path, ["northgate"], "robin", limit=2).hits] == ["about", "e9"]


def test_a_small_academys_newest_is_not_buried_by_a_large_ones_rarer_word(tmp_path: Path) -> None:
    indexer = Indexer(tmp_path)
    indexer.wipe()
    indexer.update(
        [Document("event", f"l{n}", "large", _DAY, "abuse", 3, f"other{n} words here") for n in range(200)]
        + [Document("event", "old", "large", _DAY, "abuse", 3, "rare words here")]
        + [Document("event", "new", "small", _DAY + timedelta(days=1), "abuse", 3, "rare words here")]
    )
    indexer.finish_rebuild()
    assert ids(find(tmp_path, ["large", "small"], "rare")) == ["new", "old"]


def test_parts_of_a_query() -> None:
    assert parse_query('a "b c" d* e-f') == [
        Part(("a",)),
        Part(("b", "c")),
        Part(("d",)),
        Part(("e", "f")),
    ]
    assert parse_query("dan*") == [Part(("dan",), begins=True)]
    assert len(parse_query(" ".join(f"w{number}" for number in range(500)))) == 32


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(max_size=60) | st.text('ab"*:()[]{}~^\\/+-!?. \u201cANDORNOT', max_size=40))
def test_nothing_that_can_be_typed_raises_or_breaks_the_index(folder: Path, words: str) -> None:
    answer = find(folder, ["northgate", "southgate"], words)
    assert answer.problem is None
    assert all(hit.id in TEXTS for hit in answer.hits)


_VOCABULARY = ["i", "am", "hurt", "home", "homes", "friend", "scared", "zoe"]
_SENTENCE = st.lists(st.sampled_from(_VOCABULARY), min_size=1, max_size=8)


@st.composite
def _queries(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["words", "phrase", "prefix"]))
    words = draw(st.lists(st.sampled_from(_VOCABULARY), min_size=1, max_size=3))
    if kind == "words":
        return " ".join(words)
    return f'"{" ".join(words)}"' if kind == "phrase" else f"{words[0][:3]}*"


def _expected(query: str, texts: dict[str, list[str]]) -> set[str]:
    if query.endswith("*") and len(query) > 2:
        return {id_ for id_, words in texts.items() if any(word.startswith(query[:-1]) for word in words)}
    wanted = words_in(query)
    if query.startswith('"'):
        return {id_ for id_, words in texts.items() if f" {' '.join(wanted)} " in f" {' '.join(words)} "}
    return {id_ for id_, words in texts.items() if set(wanted) <= set(words)}


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.dictionaries(st.sampled_from("abcdefgh"), _SENTENCE, min_size=1), min_size=1, max_size=6),
    queries=st.lists(_queries(), min_size=1, max_size=8),
)
def test_it_finds_exactly_what_reading_every_text_would_find(
    tmp_path_factory: pytest.TempPathFactory, batches: list[dict[str, list[str]]], queries: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("same")
    indexer = Indexer(folder)
    indexer.wipe()
    indexer.finish_rebuild()
    texts: dict[str, list[str]] = {}
    for batch in batches:
        texts |= batch
        indexer.update(
            [Document("event", id_, "northgate", _DAY, "abuse", 2, " ".join(words)) for id_, words in batch.items()]
        )
    known = {word for words in texts.values() for word in words}
    for query in queries:
        if all(word in known or len(word) < 4 for word in words_in(query)) or query.endswith("*"):
            assert set(ids(find(folder, ["northgate"], query))) == _expected(query, texts), query


def test_searches_on_many_threads_while_the_index_changes_are_all_right(tmp_path: Path) -> None:
    indexer = Indexer(tmp_path)
    indexer.wipe()
    indexer.finish_rebuild()
    indexer.update([Document("event", "always", "northgate", _DAY, "abuse", 2, "worry always")])
    wrong: list[object] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            answer = find(tmp_path, ["northgate"], "worry always")
            if answer.problem is not None or answer.hits != (Hit("event", "always"),):
                wrong.append(answer)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(40):
        indexer.update([Document("event", f"e{number}", "northgate", _DAY, "abuse", 2, f"worry {number}")])
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []
