"""Remembers lines already read, so that a screen that changed in one line costs one line.

Holds what pupils had on their screens: in this process's memory only, bounded, never on disk or in a log.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from appliance.ocr.engine import ReadWord
from appliance.ocr.lines import Mask


def key_of(ink: Mask) -> bytes:
    """The same for the same ink in the same size, wherever it stands."""
    return hashlib.blake2b(np.packbits(ink).tobytes() + b"%d" % ink.shape[1], digest_size=16).digest()


class LineCache:
    """The words of up to ``size`` lines, the longest unused forgotten first. Size 0 remembers nothing."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lines: OrderedDict[bytes, tuple[ReadWord, ...]] = OrderedDict()

    def find(self, key: bytes, left: int, top: int) -> list[ReadWord] | None:
        """The words remembered under ``key``, placed at a line whose corner is (left, top). None if not remembered."""
        words = self._lines.get(key)
        if words is None:
            return None
        self._lines.move_to_end(key)
        return [_moved(word, left, top) for word in words]

    def remember(self, key: bytes, words: Sequence[ReadWord], left: int, top: int) -> None:
        """Keeps the words of a line whose corner is (left, top)."""
        if not self._size:
            return
        self._lines[key] = tuple(_moved(word, -left, -top) for word in words)
        self._lines.move_to_end(key)
        while len(self._lines) > self._size:
            self._lines.popitem(last=False)

    def __len__(self) -> int:
        return len(self._lines)


def _moved(word: ReadWord, x: int, y: int) -> ReadWord:
    return word._replace(box=word.box.moved(x, y))
