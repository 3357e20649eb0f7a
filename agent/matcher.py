"""Which rules of the policy fire on a text.

Every typed word is read as the policy's word it may be (`agent.lexicon`), the words are written one after another
without spaces, and one Aho-Corasick pass finds the phrases. Only a find is then looked at closely: does it begin and
end at words, is its spacing an evasion or an accident, are the words nearby that a rule wants or excludes.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import ahocorasick  # type: ignore[import-not-found]

from agent.lexicon import READINGS_AT_MOST, Lexicon, load_common_words, read_leet
from agent.normalise import Run, plain_words, split_runs
from agent.policy import Policy, Rule

CHARACTERS_A_WORD = 8
REACH_AT_MOST = 600


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that fired. phrase: the policy's words. start, end: where they stand in the text as it was typed."""

    rule: Rule
    phrase: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A phrase of a rule. wanted: it stands in with_any rather than in phrases. cuts: offsets between its words."""

    rule: int
    wanted: bool
    words: tuple[str, ...]
    cuts: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the text. options: what it may be. start, end: its place in the source."""

    options: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Find:
    """A phrase found, by the indices of its first and last word."""

    phrase: _Phrase
    first: int
    last: int


class Matcher:
    """The rules of one policy, ready to run. Makes one automaton; holds no text.

    reach: how many characters beside a change may have a part in what fires with it.
    """

    def __init__(self, policy: Policy, common: frozenset[str] | None = None) -> None:
        self._rules = policy.rules
        self._automaton = ahocorasick.Automaton()
        by_letters: dict[str, list[_Phrase]] = defaultdict(list)
        vocabulary: set[str] = set()
        for index, rule in enumerate(policy.rules):
            for wanted, texts in ((False, rule.phrases), (True, rule.with_any)):
                for text in texts:
                    words = plain_words(text)
                    vocabulary.update(words)
                    by_letters["".join(words)].append(_Phrase(index, wanted, words, frozenset(_cuts(words))))
        for letters, phrases in by_letters.items():
            self._automaton.add_word(letters, tuple(phrases))
        self._automaton.make_automaton()
        self._excluding = tuple(tuple(plain_words(text) for text in rule.unless_any) for rule in policy.rules)
        self.reach = min(REACH_AT_MOST, max(map(_reach, policy.rules), default=0))
        # words of an exclusion are never "corrected" into words of a phrase
        self._lexicon = Lexicon(vocabulary, (load_common_words() if common is None else common) | self._excluded())

    def _excluded(self) -> frozenset[str]:
        return frozenset(word for texts in self._excluding for words in texts for word in words)

    def find(self, text: str) -> tuple[Hit, ...]:
        """The rules that fire on ``text``, in the policy's order, each with the first place where it does."""
        runs = [run for run in split_runs(text) if any(character.isalnum() for character in run.text)]
        words = self._read(runs)
        finds = list(dict.fromkeys(find for stream in _streams(words) for find in self._find_in(stream)))
        hits = []
        for index, rule in enumerate(self._rules):
            mine = [find for find in finds if find.phrase.rule == index]
            wanted = [find for find in mine if find.phrase.wanted]
            for find in sorted((f for f in mine if not f.phrase.wanted), key=lambda f: (f.first, -f.last)):
                if rule.with_any and not any(_is_near(find, other, rule.within_words) for other in wanted):
                    continue
                if self._is_excluded(find, index, words, runs):
                    continue
                hits.append(Hit(rule, " ".join(find.phrase.words), words[find.first].start, words[find.last].end))
                break
        return tuple(hits)

    def _read(self, runs: list[Run]) -> list[_Word]:
        words = []
        for run in runs:
            for piece, options in self._lexicon.read(run):
                words.append(_Word(options, piece.places[0], piece.places[-1] + 1))
        return _read_spelt_out(words, runs)

    def _find_in(self, stream: list[str]) -> Iterator[_Find]:
        """The phrases in one way of reading the words, those whose spacing passes."""
        edges = [0]
        for word in stream:
            edges.append(edges[-1] + len(word))
        at_edge = {edge: index for index, edge in enumerate(edges)}
        for last_letter, phrases in self._automaton.iter("".join(stream)):
            end = last_letter + 1
            start = end - sum(map(len, phrases[0].words))
            if start not in at_edge or end not in at_edge:
                continue
            first, after = at_edge[start], at_edge[end]
            inner = {edge - start for edge in edges[first + 1 : after]}
            for phrase in phrases:
                if inner == phrase.cuts or self._is_respaced(phrase, inner, stream[first:after]):
                    yield _Find(phrase, first, after - 1)

    def _is_respaced(self, phrase: _Phrase, inner: set[int], pieces: list[str]) -> bool:
        """Whether a phrase with other spacing than the policy's is that phrase, and not other words by accident.

        "killmyself", "k i l l", "sui cide" and "kill my self" are; "pen is" and "therapist" are not.
        """
        length = sum(map(len, phrase.words))
        marks = [0, *sorted(inner), length]
        for (start, end), piece in zip(pairwise(marks), pieces, strict=True):
            runs_together = any(start < cut < end for cut in phrase.cuts)
            if runs_together and self._lexicon.is_common(piece):
                return False
        exact = 0
        broken: list[list[str]] = []
        for start, end in pairwise([0, *sorted(phrase.cuts), length]):
            if any(start < mark < end for mark in inner):
                low, high = bisect_right(marks, start) - 1, bisect_left(marks, end)
                broken.append(pieces[low:high])
            elif start in marks and end in marks:
                exact += 1
        return all(self._is_broken_word(parts, exact) for parts in broken)

    def _is_broken_word(self, parts: list[str], exact: int) -> bool:
        """Whether the parts of one broken word belong together. exact: words of the phrase that stand whole."""
        if all(len(part) == 1 for part in parts):
            return len(parts) > 2
        if not all(self._lexicon.is_common(part) for part in parts):
            return True
        return exact > 0 and not any(part in ("a", "i") for part in parts)

    def _is_excluded(self, find: _Find, rule: int, words: list[_Word], runs: list[Run]) -> bool:
        """Whether an unless_any phrase, exactly as the policy writes it, stands near or across the find."""
        if not self._excluding[rule]:
            return False
        plain = ["".join(plain_words(run.text)) for run in runs]
        starts = [run.places[0] for run in runs]
        first = bisect_right(starts, words[find.first].start) - 1
        last = bisect_right(starts, words[find.last].start) - 1
        reach = self._rules[rule].within_words
        near = plain[max(0, first - reach) : last + reach + 1]
        return any(
            tuple(near[place : place + len(phrase)]) == phrase
            for phrase in self._excluding[rule]
            for place in range(len(near) - len(phrase) + 1)
        )


def _reach(rule: Rule) -> int:
    longest = max(len(text) for text in (*rule.phrases, *rule.with_any, *rule.unless_any))
    beside = rule.within_words * CHARACTERS_A_WORD if rule.with_any or rule.unless_any else 0
    # spelt out with signs between its letters a phrase is twice as long
    return 2 * longest + beside


def _cuts(words: tuple[str, ...]) -> Iterator[int]:
    place = 0
    for word in words[:-1]:
        place += len(word)
        yield place


def _streams(words: list[_Word]) -> Iterator[list[str]]:
    """The ways to read the words: each at its likeliest, then one doubtful word at a time read otherwise."""
    likeliest = [word.options[0] for word in words]
    yield likeliest
    others = ((index, option) for index, word in enumerate(words) for option in word.options[1:])
    for count, (index, option) in enumerate(others):
        if count >= READINGS_AT_MOST * 4:
            return
        yield [*likeliest[:index], option, *likeliest[index + 1 :]]


def _read_spelt_out(words: list[_Word], runs: list[Run]) -> list[_Word]:
    """The words, with digits among letters that stand alone read as letters: "k 1 l l" is "k i l l"."""
    if len(words) < 3 or all(len(run.text) > 1 for run in runs):
        return words
    read = list(words)
    for index, word in enumerate(words):
        beside = words[max(0, index - 2) : index + 3]
        letters = [other for other in beside if len(other.options[0]) == 1 and other.options[0].isalpha()]
        if len(word.options[0]) == 1 and word.options[0].isdigit() and len(letters) > 1:
            read[index] = _Word(tuple(read_leet(word.options[0])), word.start, word.end)
    return read


def _is_near(find: _Find, other: _Find, within: int) -> bool:
    """Whether the two stand apart by at most ``within`` words, without sharing one."""
    if other.first > find.last:
        return other.first - find.last <= within
    if other.last < find.first:
        return find.first - other.last <= within
    return False
