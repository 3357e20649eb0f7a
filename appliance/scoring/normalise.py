"""Brings chat spelling, leetspeak and screen-read text near to plain words before it is scored.

The same function runs when the model is trained and when it scores; changing it means building the model again.
"""

import re
import unicodedata
from collections.abc import Callable

CHAT_SPELLINGS: dict[str, str] = {
    "u": "you", "ur": "your", "urself": "yourself", "im": "i'm", "ive": "i've", "dont": "don't", "doesnt": "doesn't",
    "didnt": "didn't", "cant": "can't", "wont": "won't", "wouldnt": "wouldn't", "couldnt": "couldn't", "isnt": "isn't",
    "shouldnt": "shouldn't", "wasnt": "wasn't", "werent": "weren't", "arent": "aren't", "havent": "haven't",
    "hasnt": "hasn't", "aint": "ain't", "thats": "that's", "whats": "what's", "theres": "there's", "youre": "you're",
    "theyre": "they're", "shes": "she's", "idk": "i don't know", "idc": "i don't care", "idek": "i don't even know",
    "ik": "i know", "tbh": "to be honest", "ngl": "not going to lie", "rn": "right now", "atm": "at the moment",
    "bc": "because", "cuz": "because", "cos": "because", "coz": "because", "tho": "though", "thru": "through",
    "plz": "please", "pls": "please", "thx": "thanks", "ty": "thank you", "msg": "message", "ppl": "people",
    "sum1": "someone", "some1": "someone", "any1": "anyone", "no1": "no one", "every1": "everyone",
    "smth": "something", "sth": "something", "nvm": "never mind", "omg": "oh my god", "wtf": "what the fuck",
    "stfu": "shut the fuck up", "kms": "kill myself", "kys": "kill yourself", "gf": "girlfriend", "bf": "boyfriend",
    "bff": "best friend", "hw": "homework", "tmrw": "tomorrow", "tmr": "tomorrow", "2moro": "tomorrow",
    "2day": "today", "2nite": "tonight", "b4": "before", "l8r": "later", "l8": "late", "gr8": "great", "m8": "mate",
    "h8": "hate", "w8": "wait", "wanna": "want to", "gonna": "going to", "gotta": "got to", "lemme": "let me",
    "gimme": "give me", "dunno": "don't know", "coulda": "could have", "shoulda": "should have", "wana": "want to",
    "wiv": "with", "wid": "with", "dat": "that", "dis": "this", "nuffin": "nothing", "nuthin": "nothing",
    "sumthin": "something", "luv": "love", "frm": "from", "bday": "birthday", "irl": "in real life",
    "dm": "message", "dms": "messages", "insta": "instagram",
}  # fmt: skip

EMOJI: dict[str, str] = {
    "\U0001f62d": " crying ", "\U0001f622": " crying ", "\U0001f602": " laughing ", "\U0001f923": " laughing ",
    "\U0001f480": " laughing ", "\U0001f494": " heartbroken ", "\U0001f52a": " knife ", "\U0001f5e1": " knife ",
    "\U0001f52b": " gun ", "\U0001f48a": " pill ", "\U0001f37a": " beer ", "\U0001f377": " wine ",
    "\U0001f4a8": " smoke ", "\U0001f621": " angry ", "\U0001f92c": " angry ", "\U0001f614": " sad ",
    "\U0001f61e": " sad ", "\U0001f62a": " sad ", "\U0001f629": " upset ", "\U0001f97a": " please ",
    "\U0001f631": " scared ", "\U0001f628": " scared ", "\U0001f64f": " please ", "\U0001f922": " sick ",
    "\U0001f92e": " sick ", "\U0001f435": " monkey ", "\U0001f412": " monkey ", "\U0001f437": " pig ",
    "\U0001f416": " pig ", "\U0001f4a3": " bomb ", "\U0001f4b0": " money ", "\U0001f3b0": " slot machine ",
}  # fmt: skip

_LEET = str.maketrans({"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"})
_LEET_L = str.maketrans({"0": "o", "1": "l", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "l"})
_QUOTES = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."})
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060\ufe0e\ufe0f\ufeff]")
_STRETCHED = re.compile(r"([a-z])\1{2,}")
_SPACED = re.compile(r"(?<![a-z0-9])(?:[a-z] ){3,}[a-z](?![a-z0-9])", re.I)
_WORD = re.compile(r"^([^a-z0-9@$]*)(.*?)([^a-z0-9$]*)$", re.S)


def normalise(text: str, known: Callable[[str], bool]) -> str:
    """``text`` in lower case and plain spelling, ready for the tokenizer; line ends are kept as line ends.

    known: whether a lower-case word is in the model's vocabulary; a respelling is only taken if it makes such a word.
    """
    text = unicodedata.normalize("NFKC", text.translate(_QUOTES))
    text = _INVISIBLE.sub("", text)
    for sign, words in EMOJI.items():
        if sign in text:
            text = text.replace(sign, words)
    text = _SPACED.sub(lambda found: found.group().replace(" ", ""), text).lower()
    lines = (" ".join(filter(None, (_word(word, known) for word in line.split()))) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _word(word: str, known: Callable[[str], bool]) -> str:
    """One word in plain spelling, its punctuation kept around it."""
    found = _WORD.match(word)
    if found is None:
        return word
    before, core, after = found.groups()
    return before + _core(core, known) + after


def _core(core: str, known: Callable[[str], bool]) -> str:
    """The word itself without punctuation: chat spelling, then stretched letters, then leetspeak."""
    if _STRETCHED.search(core):
        twice = _STRETCHED.sub(r"\1\1", core)
        core = twice if known(twice) else _STRETCHED.sub(r"\1", core)
    if core in CHAT_SPELLINGS:
        return CHAT_SPELLINGS[core]
    if any(sign in core for sign in "0134579@$!") and sum(letter.isalpha() for letter in core) >= 2 and not known(core):
        for table in (_LEET, _LEET_L):
            plain = core.translate(table)
            if plain.isalpha() and known(plain):
                return plain
    return core
