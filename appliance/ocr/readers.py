"""One warm reader for each set of languages that the academies of a box use."""

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from appliance.ocr.engine import has_language, package_of
from appliance.ocr.reader import Reader
from appliance.safeguarding.event import Reading

ALWAYS = ("eng", "cym")
"""Read at every academy. English first: every page is read in it."""
MOST_READERS = 4
"""Kept warm at once, the one longest unused forgotten first: each takes some 70 MB and a memory of lines."""


class Readers:
    """Reads captures in the languages of the academy they come from. Like a Reader, for one thread."""

    def __init__(self, languages: tuple[str, ...] = ALWAYS, tessdata: Path | None = None) -> None:
        """languages: read at every academy, the first of them on every page; ALWAYS is among them whatever is given.

        Raises MissingLanguageError, which names the package to install: a box without English or Welsh doesn't start.
        """
        self._base = _distinct([*languages[:1], *ALWAYS, *languages[1:]])
        self._tessdata = tessdata
        self._readers: OrderedDict[tuple[str, ...], Reader] = OrderedDict()
        self._reader(self._base)

    def read(self, image: bytes, more: tuple[str, ...] = ()) -> Reading:
        """The text of a capture of an academy that chose the languages ``more``; see Reader.read.

        A language whose data isn't on the box is passed over: ``check`` has said so, and English is still read.
        """
        languages = _distinct([*self._base, *(one for one in more if has_language(one, self._tessdata))])
        return self._reader(languages).read(image)

    def check(self, academies: Iterable[tuple[str, tuple[str, ...]]]) -> list[str]:
        """A sentence for each academy, by name, one of whose languages can't be read, naming the package it needs."""
        return [
            f"{name} chose {language!r}, and this box can't read it: install the package {package_of(language)}."
            for name, languages in academies
            for language in languages
            if not has_language(language, self._tessdata)
        ]

    def _reader(self, languages: tuple[str, ...]) -> Reader:
        reader = self._readers.get(languages)
        if reader is None:
            reader = self._readers[languages] = Reader(languages, self._tessdata)
            while len(self._readers) > MOST_READERS:
                self._readers.popitem(last=False)
        self._readers.move_to_end(languages)
        return reader


def _distinct(languages: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(languages))
