"""Copies of a text as a hasty typist, a game chat or a badly read screen would have it."""

import random
from collections.abc import Sequence

_READ_AS = {
    "m": "rn", "w": "vv", "l": "1", "i": "l", "o": "0", "s": "5", "e": "c", "a": "o", "t": "f", "h": "b", "d": "cl",
    "g": "9", "b": "6", "u": "ii", "n": "ri", "c": "e", "f": "t", "v": "y",
}  # fmt: skip
_LEET = {"a": "4", "e": "3", "i": "1", "o": "0", "s": "5", "t": "7"}
_SHORT = {
    "you": "u", "your": "ur", "are": "r", "because": "cos", "please": "pls", "people": "ppl", "before": "b4",
    "tomorrow": "tmrw", "someone": "sum1", "with": "wiv", "that": "dat", "don't": "dont", "can't": "cant",
    "i'm": "im", "going": "goin", "what": "wat", "know": "no", "though": "tho", "right": "rite", "really": "rly",
    "about": "abt", "and": "n", "to": "2", "for": "4", "want": "wnt", "very": "v", "friend": "frend", "said": "sed",
}  # fmt: skip
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk",
    "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "r": "et", "s": "ad", "t": "ry", "u": "yi",
    "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip


def add_noise(text: str, chance: random.Random) -> str:
    """One noised copy of ``text``: one or two faults of the kinds that screens and typists make."""
    for fault in chance.sample(FAULTS, chance.choice((1, 1, 2))):
        text = fault(text, chance)
    return text


def among_others(text: str, others: Sequence[str], chance: random.Random) -> str:
    """``text`` on a line between one or two ordinary ones, as a screen or a chat would show it."""
    lines = [text]
    for other in chance.sample(others, min(len(others), chance.choice((1, 1, 2)))):
        lines.insert(chance.choice((0, len(lines))), other)
    return "\n".join(lines)


def _misread(text: str, chance: random.Random) -> str:
    share = chance.uniform(0.02, 0.08)
    return "".join(_READ_AS.get(sign, sign) if chance.random() < share else sign for sign in text)


def _lose_spaces(text: str, chance: random.Random) -> str:
    share = chance.uniform(0.1, 0.35)
    return "".join("" if sign == " " and chance.random() < share else sign for sign in text)


def _leet(text: str, chance: random.Random) -> str:
    return " ".join(
        "".join(_LEET.get(sign, sign) for sign in word) if len(word) > 2 and chance.random() < 0.2 else word
        for word in text.split(" ")
    )


def _mistype(text: str, chance: random.Random) -> str:
    signs = list(text)
    for _ in range(max(1, round(len(signs) * chance.uniform(0.01, 0.05)))):
        place = chance.randrange(len(signs)) if signs else 0
        if not signs or not signs[place].isalpha():
            continue
        way = chance.randrange(4)
        if way == 0:
            signs[place] = chance.choice(_NEIGHBOURS.get(signs[place].lower(), signs[place]))
        elif way == 1:
            del signs[place]
        elif way == 2:
            signs.insert(place, signs[place])
        elif place + 1 < len(signs):
            signs[place], signs[place + 1] = signs[place + 1], signs[place]
    return "".join(signs)


def _no_points(text: str, chance: random.Random) -> str:
    return "".join(sign for sign in text if sign not in ".,!?;:'\"()-")


def _change_case(text: str, chance: random.Random) -> str:
    # the encoder is uncased; case matters only to what normalisation makes of it
    return chance.choice((str.upper, str.title, str.lower))(text)


def _shorten(text: str, chance: random.Random) -> str:
    return " ".join(_SHORT.get(word.lower(), word) if chance.random() < 0.6 else word for word in text.split(" "))


def _stretch(text: str, chance: random.Random) -> str:
    words = text.split(" ")
    place = chance.randrange(len(words))
    if words[place] and words[place][-1].isalpha():
        words[place] += words[place][-1] * chance.randrange(2, 5)
    return " ".join(words)


FAULTS = [_misread, _lose_spaces, _leet, _mistype, _no_points, _change_case, _shorten, _shorten, _mistype, _stretch]
