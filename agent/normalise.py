"""Text as a person typed it, made plain: case, accents, look-alike letters and invisible characters removed.

What comes out are runs: stretches between separators, each character knowing where it stood in the source, so that
whatever fires can be shown as it was typed. The browser extension follows the same steps, and
tests/agent/matcher_cases.json holds both to them.
"""

import re
import unicodedata
from dataclasses import dataclass

SYMBOLS = "@$!|+*"
"""Signs that stand for letters inside a word, and are punctuation elsewhere."""

LEET: dict[str, str] = {
    "0": "o",
    "1": "il",
    "3": "e",
    "4": "a",
    "5": "s",
    "7": "t",
    "8": "b",
    "9": "g",
    "@": "a",
    "$": "s",
    "!": "il",
    "|": "il",
    "+": "t",
}
"""What a digit or sign may stand for, the likelier letter first."""

# Cyrillic, Greek, and what else is drawn like a Latin letter or an apostrophe
_LOOK_ALIKES = str.maketrans(
    {
        **dict(zip("авекмнорстухіјѕԁԛԝ", "abekmhopctyxijsdqw", strict=True)),
        **dict(zip("αβεικμνορτυχ", "abeikmvoptux", strict=True)),
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
        "ł": "l",
        "ø": "o",
        "đ": "d",
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{MODIFIER LETTER APOSTROPHE}": "'",
        "`": "'",
        "\N{ACUTE ACCENT}": "'",
    }
)
_LETTER = rf"(?:[^\W_]|[{re.escape(SYMBOLS)}])"
_PIECE = re.compile(rf"[^{re.escape(SYMBOLS)}]+")
_RUN = re.compile(rf"{_LETTER}+(?:'{_LETTER}+)*")


@dataclass(frozen=True, slots=True)
class Run:
    """Letters, digits and SYMBOLS that stand together. places: for each character of ``text`` its source index."""

    text: str
    places: tuple[int, ...]


def fold(text: str) -> tuple[str, list[int]]:
    """Lower case without accents, look-alikes or invisible characters, and each character's index in ``text``."""
    if text.isascii():
        return text.lower().replace("`", "'"), list(range(len(text)))
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if unicodedata.category(character) == "Cf":  # zero-width joiners, soft hyphens, direction marks
            continue
        # translated before as well as after: NFKD would turn a spacing acute into a space
        plain = unicodedata.normalize("NFKD", character.translate(_LOOK_ALIKES)).lower().translate(_LOOK_ALIKES)
        for letter in plain:
            if not unicodedata.combining(letter):
                characters.append(letter)
                places.append(place)
    return "".join(characters), places


def split_runs(text: str) -> list[Run]:
    """The runs of ``text`` in order. Apostrophes inside a run are dropped: "don't" reads "dont"."""
    folded, places = fold(text)
    runs = []
    for match in _RUN.finditer(folded):
        found = match.group()
        if "'" not in found:
            runs.append(Run(found, tuple(places[match.start() : match.end()])))
            continue
        kept = [index for index in range(match.start(), match.end()) if folded[index] != "'"]
        runs.append(Run("".join(folded[index] for index in kept), tuple(places[index] for index in kept)))
    return runs


def split_plain(run: Run) -> list[Run]:
    """The letter-and-digit pieces of a run: its signs taken as punctuation."""
    if run.text.isalnum():
        return [run]
    pieces = []
    for match in _PIECE.finditer(run.text):
        pieces.append(Run(match.group(), run.places[match.start() : match.end()]))
    return pieces


def plain_words(phrase: str) -> tuple[str, ...]:
    """The words of a policy's phrase: "Can't go on!" is ("cant", "go", "on")."""
    return tuple(piece.text for run in split_runs(phrase) for piece in split_plain(run))


def strip_signs(run: Run) -> Run:
    """The run without the signs at its edges: "kill!!" is "kill"."""
    if run.text.isalnum():
        return run
    start = len(run.text) - len(run.text.lstrip(SYMBOLS))
    end = len(run.text.rstrip(SYMBOLS))
    return Run(run.text[start:end], run.places[start:end]) if start < end else Run("", ())
