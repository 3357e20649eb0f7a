"""A line of words as read, and whether to believe that it is text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce

from appliance.ocr.engine import ReadWord
from appliance.ocr.lines import Box

NO_LETTER = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class TextLine:
    """Words that stand in one line, from left to right; at least one."""

    words: tuple[ReadWord, ...]

    @cached_property
    def box(self) -> Box:
        return reduce(Box.around, (word.box for word in self.words))

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


def letters(word: ReadWord) -> str:
    """The letters and digits of a word."""
    return NO_LETTER.sub("", word.text)


def confidence(words: Sequence[ReadWord]) -> float:
    """Tesseract's confidence, 0 to 100, a letter one vote."""
    count = sum(len(letters(word)) for word in words)
    return sum(word.confidence * len(letters(word)) for word in words) / count if count else 0.0


def is_text(line: TextLine) -> bool:
    """False for the letters Tesseract sees in icons, corners of frames and the grain of pictures.

    One believable word is enough to keep a line with all its words: a word lost costs more than a junk letter kept.
    """
    for word in line.words:
        count = len(letters(word))
        if count >= 3 and word.box.height > 3 * (word.box.right - word.box.left):
            continue  # a column of numbers read as one word standing on its head
        if count >= 3 and word.confidence >= 25 and len(set(letters(word))) > 1:
            return True
        if count >= 2 and word.confidence >= 60:
            return True
        if count == 1 and word.confidence >= 75 and 5 <= word.box.height <= 24 and word.box.right - word.box.left >= 2:
            return True
    return False


def without_doubles(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, less those Tesseract read twice: every word lies on a word of another line with more to say."""
    kept: list[TextLine] = []
    for line in sorted(lines, key=lambda line: -weight(line)):
        on_this = [word for other in kept if _overlap(line.box, other.box) for word in other.words]
        if not on_this or not all(any(_lies_on(word.box, other.box) for other in on_this) for word in line.words):
            kept.append(line)
    return kept


def weight(line: TextLine) -> float:
    """How much there is to believe in a line: its letters, each by Tesseract's confidence of 0 to 100."""
    return sum(word.confidence * len(letters(word)) for word in line.words)


def _overlap(box: Box, other: Box) -> int:
    across = min(box.right, other.right) - max(box.left, other.left)
    down = min(box.bottom, other.bottom) - max(box.top, other.top)
    return max(0, across) * max(0, down)


def _lies_on(box: Box, other: Box) -> bool:
    return _overlap(box, other) > 0.5 * box.area


def is_sure(words: Sequence[ReadWord]) -> bool:
    """Whether a reading may be remembered. What was read with doubt is better read anew each time."""
    return confidence(words) >= 60 or not any(len(letters(word)) >= 2 for word in words)
