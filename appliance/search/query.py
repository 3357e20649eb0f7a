"""Asking the search indexes. The answer is ids only: what they stand for is read from the store, in the reader's scope.

A query is taken apart here and not by Whoosh's parser, so whatever a person types is only ever words to look for: it
can't fail as bad syntax, and can't name another field.
"""

import contextlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from whoosh import query as whoosh_query
from whoosh.scoring import BM25F

from appliance.search.index import TEXT, is_rebuilding, open_index
from appliance.search.words import words_in

REBUILDING = "The search index of an academy is being rebuilt; results may be missing."

MOST_PARTS = 32
SHORTEST_PREFIX = 2
SHORTEST_MISSPELT = 4
"""Nearly every word of three letters is one letter away from many others. So is a reference or a number."""

MOST_NEAR_WORDS = 20
CANDIDATES = 200
"""How many of an academy's best matches are put in order of date."""

SCORE_BANDS = 4
LENGTH_WEIGHT = 0.25
"""How much a long text counts against a match. Low, as a screen with much on it is no less of a concern."""

_PARTS = re.compile(r'["“”„]([^"“”„]*)["“”„]|([^\s"“”„]+)')

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing found. kind: "event" or "concern"."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, best first. terms: lower-case words to highlight. problem: a sentence for the reader, or None."""

    hits: tuple[Hit, ...]
    terms: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to look for: words that stand one after another. begins: the last may go on with other letters."""

    words: tuple[str, ...]
    begins: bool = False


def parse_query(words: str) -> list[Part]:
    """What a person typed as parts that must all be found. Words, "a phrase", and a beginn* are understood."""
    parts: list[Part] = []
    for quoted, plain in _PARTS.findall(words):
        found = tuple(words_in(quoted or plain))
        if not found or plain == "AND":
            continue
        if plain.endswith("*") and len(found[-1]) >= SHORTEST_PREFIX:
            parts += [Part(found[:-1])] if found[1:] else []
            parts.append(Part(found[-1:], begins=True))
        else:
            parts.append(Part(found))
    return list(dict.fromkeys(parts))[:MOST_PARTS]


def find(folder: Path, academies: Collection[str], words: str, limit: int = 50) -> Answer:
    """Events and concerns of these academies that hold every part of the query, the best and newest first.

    academies: whose indexes are opened; with none, nothing is. A word that nothing holds also finds those one letter
    away. Never raises for anything in words.
    """
    parts = parse_query(words)
    if not academies or not parts:
        return Answer((), (), None)
    with contextlib.closing(_Shelves(folder, academies)) as shelves:
        query, near = _build(parts, shelves)
        found = [one for best in shelves.ask(partial(_best, query)) for one in best]
        # by key last, so that the order is the same each time
        found.sort(key=lambda one: (-one[0], -one[1], one[2]))
        hits = [Hit(*key.split(":", 1)) for _, _, key in found[:limit]]
        problem = REBUILDING if shelves.broken or is_rebuilding(folder) else None
        return Answer(tuple(hits), _terms(words, parts, near), problem)


class _Shelves:
    """The opened indexes of the academies in scope, for one search on one thread."""

    def __init__(self, folder: Path, academies: Collection[str]) -> None:
        self.broken = False
        self._searchers: list[Any] = []
        for academy_id in sorted(academies):
            try:
                index = open_index(folder, academy_id)
                if index is not None:
                    self._searchers.append(index.searcher(weighting=BM25F(B=LENGTH_WEIGHT)))
            except Exception:
                # a damaged file shows as any kind of error, and must not hide what the other academies hold
                self.broken = True

    def ask(self, question: Callable[[Any], T]) -> list[T]:
        """The answer of every index; one that fails is put aside and noted."""
        answers = []
        for searcher in list(self._searchers):
            try:
                answers.append(question(searcher))
            except Exception:
                self.broken = True
                self._searchers.remove(searcher)
        return answers

    def close(self) -> None:
        """Close them all."""
        for searcher in self._searchers:
            searcher.close()


def _build(parts: list[Part], shelves: _Shelves) -> tuple[Any, set[str]]:
    """Whoosh's query for the parts, and the words that stand in for misspelt ones."""
    meant: dict[str, list[str]] = {}
    for word in {word for part in parts for word in part.words}:
        known = any(shelves.ask(partial(_holds, word)))
        if known or len(word) < SHORTEST_MISSPELT or not word.isalpha():
            meant[word] = [word]
        else:
            near = set().union(*shelves.ask(partial(_near_words, word)))
            meant[word] = sorted(near)[:MOST_NEAR_WORDS] or [word]
    queries = [_query(part, meant) for part in parts]
    near_words = {word for part in parts if not part.begins for one in part.words for word in meant[one] if word != one}
    return whoosh_query.And(queries), near_words


def _query(part: Part, meant: dict[str, list[str]]) -> Any:
    if part.begins:
        return whoosh_query.Prefix(TEXT, part.words[0])
    if len(part.words) == 1:
        return _any_of(meant[part.words[0]])
    if all(len(meant[word]) == 1 for word in part.words):
        return whoosh_query.Phrase(TEXT, [meant[word][0] for word in part.words])
    # several words may be meant at one place of the phrase
    return whoosh_query.SpanNear2([_any_of(meant[word]) for word in part.words], slop=1, ordered=True)


def _any_of(words: list[str]) -> Any:
    queries = [whoosh_query.Term(TEXT, word) for word in words]
    return queries[0] if len(queries) == 1 else whoosh_query.Or(queries)


def _holds(word: str, searcher: Any) -> bool:
    """Whether any document holds the word; one that was replaced since doesn't count."""
    reader = searcher.reader()
    return (TEXT, word) in reader and bool(reader.postings(TEXT, word).is_active())


def _near_words(word: str, searcher: Any) -> set[str]:
    """Words in use that are one letter away, or have two neighbours swapped; all begin with the same letter."""
    found = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 1)}
    for reader, _ in searcher.reader().leaf_readers():
        found.update(reader.terms_within(TEXT, word, 1, prefix=1))
    return {one for one in found if _holds(one, searcher)}


def _best(query: Any, searcher: Any) -> list[tuple[int, float, str]]:
    """The best matches of one index as band of score (SCORE_BANDS is best), time in seconds, key.

    Scores of two indexes can't be compared, as how rare a word is differs; so each is set against its index's best.
    """
    results = searcher.search(query, limit=CANDIDATES)
    top = max((hit.score for hit in results), default=0.0) or 1.0
    return [(max(1, round(SCORE_BANDS * hit.score / top)), hit["at"], hit["key"]) for hit in results]


def _terms(words: str, parts: list[Part], near: set[str]) -> tuple[str, ...]:
    """What to highlight: the words as typed and as folded, and those found in their stead."""
    typed = [word.strip("*'") for word in re.findall(r"[^\W_][\w'\u2019]*", words.lower())]
    terms = list(dict.fromkeys([*typed, *(word for part in parts for word in part.words), *sorted(near)]))
    # "i" in "i am hurt" would light up half the page
    telling = [term for term in terms if len(term) >= 3]
    return tuple(telling or terms)
