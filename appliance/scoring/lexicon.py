"""A small strict list of phrases: a second opinion beside the model, and words a moderator can point at."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from appliance.safeguarding.severity import Category, Severity

LEXICON_FILE = Path(__file__).with_name("lexicon.json")


@dataclass(frozen=True, slots=True)
class Phrase:
    """One phrase, the category it speaks for and the level it would have; alone it never goes above level 3."""

    text: str
    category: Category
    level: Severity


class Lexicon:
    """Finds whole phrases, word by word, in text that has been through ``normalise``."""

    def __init__(self, file: Path = LEXICON_FILE) -> None:
        """Raises OSError or ValueError if the file can't be read as a list of phrases."""
        entries = json.loads(file.read_text(encoding="utf-8"))["phrases"]
        phrases = [Phrase(e["phrase"], Category(e["category"]), Severity(e["level"])) for e in entries]
        self.phrases: tuple[Phrase, ...] = tuple(phrases)
        self._by_words = {_words(phrase.text): phrase for phrase in phrases}
        self._lengths = sorted({words.count(" ") + 1 for words in self._by_words}, reverse=True)

    def find(self, normalised: str) -> tuple[Phrase, ...]:
        """The phrases in ``normalised``, each once, in reading order."""
        words = _words(normalised).split()
        found: dict[str, Phrase] = {}
        for start in range(len(words)):
            for length in self._lengths:
                phrase = self._by_words.get(" ".join(words[start : start + length]))
                if phrase is not None and start + length <= len(words):
                    found.setdefault(phrase.text, phrase)
        return tuple(found.values())


def _words(text: str) -> str:
    """The words of ``text`` with apostrophes and punctuation gone, one space between them."""
    return " ".join(re.sub(r"[^a-z0-9\s]", " ", text.lower().replace("'", "")).split())
