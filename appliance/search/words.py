"""What counts as a word, for the index and for a query alike: without case or accents, and without stemming."""

import re
import unicodedata

MOST_LETTERS = 64
"""Longer runs are cut: they are addresses, keys or misread pictures, and each would be a term of its own."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = "\u2018\u2019\u02bc"
_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\u0131": "i"}
    | dict.fromkeys(_APOSTROPHES, "'")
)


def words_in(text: str) -> list[str]:
    """The words of a text in order, folded: "Zoë's DON'T" gives zoe and dont.

    An apostrophe is dropped because pupils leave it out, and with it a final "s", so that a name is found in its
    possessive.
    """
    return [_plain(word) for word in _WORD.findall(_fold(text))]


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    # some signs only become letters, and capital ones at that, when they are taken apart
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(one for one in parts if not unicodedata.combining(one)).translate(_LETTERS)


def _plain(word: str) -> str:
    if word.endswith("'s"):
        word = word[:-2]
    return word.replace("'", "")[:MOST_LETTERS]
