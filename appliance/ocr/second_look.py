"""Reads the text that the page as a whole didn't give up: on photographs and games, beside frames, alone in a corner.

Letters are looked for by their difference from the ground in one direction, and read by their own colour.
"""

from functools import reduce

import numpy as np

from appliance.ocr.cache import LineCache, key_of
from appliance.ocr.engine import ONE_LINE, Engine, ReadWord
from appliance.ocr.flatten import flatten_by_colour, flatten_by_direction
from appliance.ocr.image import Pixels
from appliance.ocr.lines import Box, Mask, find_lines
from appliance.ocr.textlines import TextLine, confidence, letters, weight

SURE_LETTER = 120
"""Ink of one direction from which on a pixel is taken for a letter, to learn the letters' colour."""
MOST_LINES = 30
"""Lines looked at again in one direction, those with most ink first: a photograph has hundreds that are none."""
MARGIN = 5
DOUBTFUL = 60
"""Words of less confidence than this are looked at again as if unread."""
LEAST_GAIN = 100.0
"""A line read again replaces what was read of it only if at least a letter is gained."""


class SecondLook:
    """Reads pieces of one picture by the colour of their letters."""

    def __init__(self, pixels: Pixels, engine: Engine, cache: LineCache, deadline: float) -> None:
        """pixels: rows x columns x 3. deadline: as for Engine.read."""
        self._pixels = pixels
        self._engine = engine
        self._cache = cache
        self._deadline = deadline

    def complete(self, lines: list[TextLine]) -> list[TextLine]:
        """``lines`` with what they lack: lines not among them, and lines of which they have but a part."""
        unread = np.full(self._pixels.shape[:2], True)
        for line in lines:
            _mark_read(unread, line)
        for ink in flatten_by_direction(self._pixels):
            sure = ink > SURE_LETTER
            for box in _likeliest(find_lines(sure & unread), sure & unread):
                found, replaced = self._read_again(sure, box, [line for line in lines if _same_row(box, line.box)])
                if found is not None:
                    lines = [line for line in lines if line not in replaced] + [found]
                    _mark_read(unread, found)
                    unread[box.grown(2, unread.shape).cut] = False
        return lines

    def _read_again(self, sure: Mask, box: Box, beside: list[TextLine]) -> tuple[TextLine | None, list[TextLine]]:
        """The line in ``box`` and the lines it replaces: those ``beside`` it, where all together read better as one."""
        if beside:
            whole = self._read_line(sure, reduce(Box.around, (line.box for line in beside), box))
            if whole is not None and weight(whole) > sum(map(weight, beside)) + LEAST_GAIN:
                return whole, beside
        return self._read_line(sure, box), []

    def _read_line(self, sure: Mask, box: Box) -> TextLine | None:
        """The line of text in ``box``, or None if it isn't one. sure: rows x columns, what surely is a letter."""
        place = box.grown(MARGIN, sure.shape)
        letters_of_line = np.zeros(sure[place.cut].shape, bool)
        inner = Box(box.left - place.left, box.top - place.top, box.right - place.left, box.bottom - place.top)
        letters_of_line[inner.cut] = sure[box.cut]
        ink = flatten_by_colour(self._pixels[place.cut], letters_of_line)
        if ink is None:
            return None
        key = b"again" + key_of(ink > 127)
        words = self._cache.find(key, place.left, place.top)
        if words is None:
            scale = 2.0 if box.height < 30 else 1.0
            words = [
                word._replace(box=word.box.moved(place.left, place.top))
                for word in self._engine.read(255 - ink, scale, ONE_LINE, self._deadline)
            ]
            self._cache.remember(key, words, place.left, place.top)
        return TextLine(tuple(words)) if _is_believable(words) else None


def _mark_read(unread: Mask, line: TextLine) -> None:
    for word in line.words:
        if word.confidence >= DOUBTFUL:
            unread[word.box.grown(2, unread.shape).cut] = False


def _same_row(box: Box, line: Box) -> bool:
    lower, higher = sorted((box.height, line.height))
    level = min(box.bottom, line.bottom) - max(box.top, line.top) >= 0.6 * lower
    gap = max(box.left, line.left) - min(box.right, line.right)
    return level and higher <= 2.2 * lower and gap <= 1.5 * higher


def _likeliest(boxes: list[Box], mask: Mask) -> list[Box]:
    weighed = []
    for box in boxes:
        wide = box.right - box.left > 0.4 * box.height
        ink = int(mask[box.cut].sum())
        if box.height >= 7 and wide and ink > 25:
            weighed.append((ink, box))
    weighed.sort(reverse=True)
    return [box for _, box in weighed[:MOST_LINES]]


def _is_believable(words: list[ReadWord]) -> bool:
    """Stricter than for a page: a single line always reads as something."""
    sure = confidence(words)
    longest = max((len(letters(word)) for word in words), default=0)
    return sure >= (60 if longest >= 3 else 85) and longest >= 1
