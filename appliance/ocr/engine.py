"""Tesseract, kept warm: takes a grey picture of ink on white, gives words. The only module that imports tesserocr."""

import re
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import tesserocr

from appliance.ocr.flatten import Ink
from appliance.ocr.lines import Box
from appliance.safeguarding.event import UnreadableImageError
from appliance.safeguarding.installation import InstallationError

DEBIAN_TESSDATA = Path("/usr/share/tesseract-ocr")

PAGE = tesserocr.PSM.AUTO
ONE_LINE = tesserocr.PSM.SINGLE_LINE
BLOCK = tesserocr.PSM.SINGLE_BLOCK

WORD_LEVEL = "5"
# marks that steer the direction of text: invisible, and in the way of every comparison
DIRECTION_MARKS = dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F)])
# a lone stroke is the pronoun: a quarter of all words missed was "i", read as | or l
LONE_STROKE = re.compile(r"""^(["'(\[\u2018\u201c]*)[|l!]([,.?\u2026)\]"'\u2019\u201d]*)$""")
STROKE_BEFORE_ENDING = re.compile(r"(?<!\w)[l|](['\u2019])(m|ve|ll|d)\b")


def has_language(language: str, tessdata: Path | None = None) -> bool:
    """Whether Tesseract's data for a language is on this box."""
    try:
        folder = tessdata or _find_tessdata((language,))
    except MissingLanguageError:
        return False
    return re.fullmatch(r"[A-Za-z_]+", language) is not None and (folder / f"{language}.traineddata").is_file()


def package_of(language: str) -> str:
    """Debian's package with Tesseract's data for a language."""
    return _package(language)


class MissingLanguageError(InstallationError):
    """Tesseract's data for a language isn't installed. The message names the package that brings it."""


class ReadWord(NamedTuple):
    """A word as Tesseract gives it. line: equal for words of one line of one reading. confidence: 0 to 100."""

    text: str
    box: Box
    confidence: float
    line: tuple[int, ...]


class Engine:
    """One warm Tesseract. Not safe to share between threads; other threads do run while it reads."""

    def __init__(self, languages: tuple[str, ...], tessdata: Path | None) -> None:
        """Raises MissingLanguageError. tessdata: the folder that holds eng.traineddata, None for Debian's."""
        folder = tessdata or _find_tessdata(languages)
        for language in languages:
            if not re.fullmatch(r"[A-Za-z_]+", language):
                raise ValueError(f"{language!r} is not a language code of Tesseract.")
            if not (folder / f"{language}.traineddata").is_file():
                raise MissingLanguageError(
                    f"Tesseract has no data for {language!r} in {folder}: install the package {_package(language)}."
                )
        # its complaints about odd boxes would fill the log of the box and mean nothing there
        tesserocr.set_leptonica_log_level(tesserocr.LeptLogLevel.NONE)
        self._api = tesserocr.PyTessBaseAPI(path=str(folder), lang="+".join(languages), psm=PAGE)
        self.name = f"{tesserocr.tesseract_version().split(chr(10))[0].strip()} {'+'.join(languages)}"

    def read(self, paper: Ink, scale: float, mode: int, deadline: float) -> list[ReadWord]:
        """The words on ``paper`` (ink is 0, paper 255), enlarged by ``scale`` first; boxes are in pixels of ``paper``.

        deadline: the moment of time.perf_counter() to stop at. Raises UnreadableImageError once it has passed.
        """
        enlarged = cv2.resize(paper, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale != 1 else paper
        height, width = enlarged.shape
        milliseconds = int((deadline - time.perf_counter()) * 1000)
        if milliseconds <= 0:
            raise too_slow()
        self._api.SetPageSegMode(mode)
        self._api.SetImageBytes(np.ascontiguousarray(enlarged).tobytes(), width, height, 1, width)
        self._api.SetSourceResolution(120)
        finished = self._api.Recognize(milliseconds)
        if not finished:
            self._api.Clear()
            raise too_slow()
        # TSV and not the iterators, which give Arabic and Urdu words letter-reversed
        rows = self._api.GetTSVText(0).split("\n")
        self._api.Clear()
        return [word for row in rows if (word := _parse_row(row, scale, paper.shape)) is not None]


def too_slow() -> UnreadableImageError:
    return UnreadableImageError("Reading the image took longer than the time allowed.")


def _parse_row(row: str, scale: float, shape: tuple[int, ...]) -> ReadWord | None:
    """One TSV row: level page block paragraph line word left top width height confidence text. None if not a word."""
    fields = row.split("\t")
    if len(fields) < 12 or fields[0] != WORD_LEVEL:
        return None
    text = fields[11].translate(DIRECTION_MARKS).strip()
    if not text:
        return None
    text = STROKE_BEFORE_ENDING.sub(r"I\1\2", LONE_STROKE.sub(r"\1I\2", text))
    left, top, width, height = (int(field) / scale for field in fields[6:10])
    box = Box(
        max(0, int(left)),
        max(0, int(top)),
        min(shape[1], max(int(left) + 1, round(left + width))),
        min(shape[0], max(int(top) + 1, round(top + height))),
    )
    confidence = min(100.0, max(0.0, float(fields[10])))
    return ReadWord(text, box, confidence, tuple(int(field) for field in fields[2:5]))


def _find_tessdata(languages: tuple[str, ...]) -> Path:
    """Debian's folder, of the newest version there is."""
    versions = [path for path in DEBIAN_TESSDATA.glob("*/tessdata") if path.is_dir()]
    if not versions:
        packages = " ".join(map(_package, languages))
        raise MissingLanguageError(f"Tesseract's data isn't on this box: install {packages}.")
    return max(versions, key=lambda path: [int(number) for number in re.findall(r"\d+", path.parent.name)])


def _package(language: str) -> str:
    return f"tesseract-ocr-{language.lower().replace('_', '-')}"
