"""A capture in, its words with their places out: Tesseract over flattened ink, with a memory for lines already read."""

import dataclasses
import hashlib
import math
import time
from pathlib import Path

import cv2
import numpy as np

from appliance.ocr.cache import LineCache, key_of
from appliance.ocr.engine import PAGE, Engine, MissingLanguageError, ReadWord, too_slow
from appliance.ocr.flatten import INK, Ink, flatten
from appliance.ocr.image import Pixels, decode
from appliance.ocr.languages import OtherLanguages
from appliance.ocr.lines import Box, Units, find_units, order_for_reading, regions
from appliance.ocr.second_look import SecondLook
from appliance.ocr.textlines import TextLine, is_sure, is_text, without_doubles
from appliance.safeguarding.event import Reading, Word

__all__ = ["MissingLanguageError", "Reader"]

ENLARGEMENT = 1.5
"""Reads small text as well as 2 does, at less cost."""
LARGE_TEXT = 20
"""Where half the lines are at least this high in pixels, as on screens of high resolution, enlarging gains nothing."""
LARGEST_PAGE = 24_000_000
"""Pixels after enlarging. Tesseract can't be stopped while it looks for columns: 2 s for a dense page of 5 million."""
SHARE_KNOWN = 0.3
"""With fewer known lines than this the page is new, and is read as a whole."""


class Reader:
    """Reads captures, one after the other. Keep one Reader a process or thread: it's not safe to share.

    Starting one takes about 0.1 s and 70 MB, so keep it warm. It uses one core; run one process a core for more.
    It remembers lines and the last capture, in memory only. A remembered line comes back only for a capture with the
    very same ink on it, so nothing of one capture can show up in another.
    """

    def __init__(
        self,
        languages: tuple[str, ...] = ("eng",),
        tessdata: Path | None = None,
        *,
        cache_lines: int = 8000,
        seconds_allowed: float = 30.0,
    ) -> None:
        """languages: Tesseract's codes. Every page is read in the first; blocks that it makes little of, in the others.

        tessdata: the folder with their data, None for Debian's.

        cache_lines: how many lines to remember, 0 for none. seconds_allowed: for one capture.
        Raises MissingLanguageError, which names the package to install.
        """
        cv2.setNumThreads(1)  # threads of OpenCV's own would fight with the other processes for their cores
        self._engine = Engine(languages[:1], tessdata)
        # all are loaded now, so that one that isn't installed is heard of at the start and not at night
        self._others = OtherLanguages([Engine((language,), tessdata) for language in languages[1:]])
        self._name = "+".join([self._engine.name, *languages[1:]])
        self._cache = LineCache(cache_lines)
        self._caching = cache_lines > 0
        self._seconds_allowed = seconds_allowed
        self._last: tuple[bytes, Reading] | None = None

    def read(self, image: bytes) -> Reading:
        """The text of a WebP, PNG or JPEG, in reading order: a screen line a text line, a blank line between blocks.

        Words come in the same order, their boxes in pixels of the image as stored. Raises UnreadableImageError, one
        sentence, for an image that can't be decoded (see ``image.decode``) or takes longer than allowed.
        """
        started = time.perf_counter()
        digest = hashlib.blake2b(image, digest_size=32).digest()
        if self._last and self._last[0] == digest:
            return dataclasses.replace(self._last[1], seconds=time.perf_counter() - started)
        lines = self._read_lines(decode(image), started + self._seconds_allowed)
        blocks = order_for_reading([line.box for line in lines])
        text = "\n\n".join("\n".join(" ".join(lines[i].text for i in row) for row in block) for block in blocks)
        words = tuple(
            Word(word.text, _place(word.box), word.confidence)
            for block in blocks
            for row in block
            for i in row
            for word in lines[i].words
        )
        reading = Reading(text, words, time.perf_counter() - started, self._name)
        if self._caching:
            self._last = (digest, reading)
        return reading

    def _read_lines(self, pixels: Pixels, deadline: float) -> list[TextLine]:
        """The lines of text on the picture, in no order."""
        ink = flatten(pixels)
        units = find_units(ink > INK)
        if time.perf_counter() >= deadline:
            raise too_slow()
        lines = without_doubles([line for line in self._read_units(ink, units, deadline) if is_text(line)])
        return without_doubles(SecondLook(pixels, self._engine, self._cache, deadline).complete(lines))

    def _read_units(self, ink: Ink, units: Units, deadline: float) -> list[TextLine]:
        """Reads the page, or only those units of it that aren't remembered."""
        keys: list[bytes] = []
        known: dict[int, list[ReadWord]] = {}
        if self._caching:
            keys = [key_of(ink[box.cut] > INK) for box in units.boxes]
            for i, (key, box) in enumerate(zip(keys, units.boxes, strict=True)):
                if (words := self._cache.find(key, box.left, box.top)) is not None:
                    known[i] = words
        if len(known) < SHARE_KNOWN * len(units.boxes):
            known = {}  # the page is read anyway, and a fresh reading is worth more
        unknown = {i: box for i, box in enumerate(units.boxes) if i not in known}
        grouped = _group_by_unit(self._read_page(ink, units, known, deadline), unknown)
        grouped |= self._others.read(255 - ink, unknown, grouped, deadline)
        for i, box in unknown.items() if self._caching else ():
            words = grouped.get(i, [])
            if is_sure(words):
                self._cache.remember(keys[i], words, box.left, box.top)
        return _lines_of(grouped | known)

    def _read_page(self, ink: Ink, units: Units, known: dict[int, list[ReadWord]], deadline: float) -> list[ReadWord]:
        """The words of all units that aren't ``known``."""
        unknown = [box for i, box in enumerate(units.boxes) if i not in known]
        if not unknown:
            return []
        scale = _enlargement(unknown, ink.size)
        paper = 255 - ink
        if not known:
            return self._engine.read(paper, scale, PAGE, deadline)
        paper = _leave_only_unknown(paper, units, known)
        words: list[ReadWord] = []
        for number, region in enumerate(regions(unknown, ink.shape)):
            for word in self._engine.read(paper[region.cut], scale, PAGE, deadline):
                box = word.box.moved(region.left, region.top)
                words.append(word._replace(box=box, line=(number, *word.line)))
        return words


def _enlargement(boxes: list[Box], pixels: int) -> float:
    if np.median([box.height for box in boxes]) >= LARGE_TEXT:
        return 1.0
    return min(ENLARGEMENT, max(1.0, math.sqrt(LARGEST_PAGE / pixels)))


def _leave_only_unknown(paper: Ink, units: Units, known: dict[int, list[ReadWord]]) -> Ink:
    """White paper with the unknown units on it. Boxes may overlap, so a known unit's own pixels are wiped, no more."""
    is_known = np.zeros(len(units.boxes) + 1, bool)  # the last, index -1, is the paper
    is_known[list(known)] = True
    left = np.full_like(paper, 255)
    for i, box in enumerate(units.boxes):
        if i not in known:
            cut = box.grown(3, paper.shape).cut
            left[cut] = paper[cut]
    known_pixels = is_known[units.owner]
    wipe = cv2.dilate(known_pixels.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    left[wipe & (known_pixels | (units.owner < 0))] = 255
    return left


def _group_by_unit(words: list[ReadWord], boxes: dict[int, Box]) -> dict[int, list[ReadWord]]:
    """Words by the unit whose ink they are; those that fall in none are under -1."""
    grouped: dict[int, list[ReadWord]] = {}
    numbers = list(boxes)
    edges = np.array([boxes[i] for i in numbers], np.int32).reshape(-1, 4)
    areas = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    for word in words:
        x, y = (word.box.left + word.box.right) / 2, (word.box.top + word.box.bottom) / 2
        inside = (edges[:, 0] - 4 <= x) & (x <= edges[:, 2] + 4) & (edges[:, 1] - 4 <= y) & (y <= edges[:, 3] + 4)
        candidates = np.flatnonzero(inside)
        unit = numbers[candidates[np.argmin(areas[candidates])]] if len(candidates) else -1
        grouped.setdefault(unit, []).append(word)
    return grouped


def _lines_of(grouped: dict[int, list[ReadWord]]) -> list[TextLine]:
    lines: list[TextLine] = []
    for words in grouped.values():
        by_line: dict[tuple[int, ...], list[ReadWord]] = {}
        for word in words:
            by_line.setdefault(word.line, []).append(word)
        lines.extend(TextLine(tuple(line)) for line in by_line.values())
    return lines


def _place(box: Box) -> tuple[int, int, int, int]:
    return box.left, box.top, box.right - box.left, box.bottom - box.top
