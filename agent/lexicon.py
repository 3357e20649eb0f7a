"""The policy's words, and which of them a typed word may be: as written, in leetspeak, stretched, or one slip away.

One slip is one letter dropped, added, changed, or two neighbours swapped (Damerau-Levenshtein distance 1), found by a
dictionary of deletions; only for words of four letters or more, and never for an ordinary English word.
"""

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib import resources

from agent.normalise import LEET, Run, split_plain, strip_signs

SHORTEST_CORRECTED = 4
"""Letters a word must have, typed and in the policy, before a slip is forgiven."""
LONG = 6
"""From this length on even a slip in the first letter is forgiven."""
READINGS_AT_MOST = 8

_ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ers", "ly", "y")


@functools.cache
def load_common_words() -> frozenset[str]:
    """The ordinary English words that come with the agent."""
    text = resources.files("agent").joinpath("common_words.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


class Lexicon:
    """The words of one policy. Immutable once made; reading a word is remembered for the last few thousand."""

    def __init__(self, words: Iterable[str], common: frozenset[str]) -> None:
        self.words = frozenset(words)
        self._common = common
        self._longest = max(map(len, self.words), default=0)
        self._by_deletion: dict[str, list[str]] = defaultdict(list)
        self._by_squeeze: dict[str, list[str]] = defaultdict(list)
        for word in sorted(self.words):
            self._by_squeeze[_squeeze(word, 1)].append(word)
            if len(word) >= SHORTEST_CORRECTED:
                for shorter in {word, *_deletions(word)}:
                    self._by_deletion[shorter].append(word)
        self._spelt = functools.lru_cache(maxsize=4096)(self._find_spelt)
        self._corrected = functools.lru_cache(maxsize=4096)(self._find_corrected)

    def is_common(self, word: str) -> bool:
        """Whether ``word`` is ordinary English: in the list, or a word of the list with a plain ending."""
        if word in self._common:
            return True
        for ending in _ENDINGS:
            stem = word.removesuffix(ending)
            if stem != word and len(stem) > 2 and (stem in self._common or (stem + "e") in self._common):
                return True
            if stem != word and len(stem) > 3 and stem[-1] == stem[-2] and stem[:-1] in self._common:
                return True
        return False

    def read(self, run: Run) -> list[tuple[Run, tuple[str, ...]]]:
        """The words a run holds, each with what it may be, likeliest first and never empty.

        A run is one word where the policy knows it so; else its pieces between signs ("mia@home" is "mia", "home").
        """
        core = strip_signs(run)
        # the signs at the edges may be letters ("$uicidal"), but that is asked before slips are forgiven
        for candidate, find in ((core, self._spelt), (run, self._spelt), (core, self._corrected)):
            known = find(candidate.text)
            if known:
                return [(candidate, known)]
        return [(piece, self._find_known(piece.text) or _unknown(piece.text)) for piece in split_plain(run)]

    def _find_known(self, text: str) -> tuple[str, ...]:
        return self._spelt(text) or self._corrected(text)

    def _find_spelt(self, text: str) -> tuple[str, ...]:
        """Which of the policy's words ``text`` is as written, in leetspeak, or stretched; empty where none."""
        if text in self.words:
            return (text,)
        return self._first_found(text, self._match_exact, self._match_stretched)

    def _find_corrected(self, text: str) -> tuple[str, ...]:
        """Which of the policy's words ``text`` is one slip away from; empty where none."""
        return self._first_found(text, self._match_slip)

    def _first_found(self, text: str, *matches: Callable[[str], list[str]]) -> tuple[str, ...]:
        if not any(character.isalpha() for character in text):
            return ()
        spelt = read_leet(text)
        for match in matches:
            found = dict.fromkeys(word for reading in spelt for word in match(reading))
            if found:
                return tuple(found)[:READINGS_AT_MOST]
        return ()

    def _match_exact(self, text: str) -> list[str]:
        return [text] if text in self.words else []

    def _match_stretched(self, text: str) -> list[str]:
        """Words that ``text`` is when letters held down three times or more are let go ("killlll")."""
        runs = _letter_runs(text)
        if all(length < 3 for _, length in runs):
            return []
        return [
            word
            for word in self._by_squeeze.get(_squeeze(text, 1), ())
            if all(
                length == typed if typed < 3 else length <= typed
                for (_, length), (_, typed) in zip(_letter_runs(word), runs, strict=True)
            )
        ]

    def _match_slip(self, text: str) -> list[str]:
        """Words that ``text`` is one slip away from."""
        if not SHORTEST_CORRECTED <= len(text) <= self._longest + 1:
            return []
        if any(character.isdigit() for character in text) or self.is_common(text):
            return []
        found = dict.fromkeys(
            word for shorter in (text, *_deletions(text)) for word in self._by_deletion.get(shorter, ())
        )
        return [word for word in found if _same_start(text, word) and _is_one_slip(text, word)]


def read_leet(text: str) -> list[str]:
    """What a word with digits and signs may spell, likeliest first, at most READINGS_AT_MOST; itself where none."""
    choices = [LEET.get(character, character) for character in text]
    return ["".join(letters) for letters in itertools.islice(itertools.product(*choices), READINGS_AT_MOST)]


def _unknown(text: str) -> tuple[str, ...]:
    """How a word the policy doesn't know stands in the letter stream, where a phrase may still run through it."""
    plain = read_leet(text)[0] if any(c.isalpha() for c in text) else text
    if all(length < 3 for _, length in _letter_runs(plain)):
        return (plain,)
    return (_squeeze(plain, 1, from_length=3), _squeeze(plain, 2, from_length=3))


def _letter_runs(text: str) -> list[tuple[str, int]]:
    return [(letter, len(list(group))) for letter, group in itertools.groupby(text)]


def _squeeze(text: str, to_length: int, from_length: int = 2) -> str:
    return "".join(letter * (to_length if length >= from_length else length) for letter, length in _letter_runs(text))


def _deletions(text: str) -> set[str]:
    return {text[:index] + text[index + 1 :] for index in range(len(text))}


def _same_start(typed: str, word: str) -> bool:
    """People rarely mistype a word's first letter, and "will" is not "kill": a short word must keep it."""
    return len(word) >= LONG or typed[0] == word[0] or typed[:2] == word[1::-1]


def _is_one_slip(typed: str, word: str) -> bool:
    """Whether the two are at Damerau-Levenshtein distance 1 or less."""
    if typed == word:
        return True
    if len(typed) > len(word):
        return any(typed[:i] + typed[i + 1 :] == word for i in range(len(typed)))
    if len(typed) < len(word):
        return any(word[:i] + word[i + 1 :] == typed for i in range(len(word)))
    # a sign left in the word, as in "k*ll", is one wrong letter like any other
    wrong = [index for index, (a, b) in enumerate(zip(typed, word, strict=True)) if a != b]
    if len(wrong) == 1:
        return True
    return (
        len(wrong) == 2
        and wrong[1] == wrong[0] + 1
        and typed[wrong[0]] == word[wrong[1]]
        and (typed[wrong[1]] == word[wrong[0]])
    )
