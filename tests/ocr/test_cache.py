"""The memory for lines: bounded, and indifferent to where a line stands."""

import numpy as np

from appliance.ocr.cache import LineCache, key_of
from appliance.ocr.engine import ReadWord
from appliance.ocr.lines import Box

WORD = ReadWord("tower", Box(104, 52, 140, 64), 93.0, (1, 1, 1))


def test_remembered_words_move_with_their_line() -> None:
    cache = LineCache(5)
    cache.remember(b"line", [WORD], 100, 50)
    assert cache.find(b"line", 100, 50) == [WORD]
    assert cache.find(b"line", 90, 250) == [WORD._replace(box=Box(94, 252, 130, 264))]


def test_line_read_as_empty_is_remembered_as_empty_and_unknown_is_unknown() -> None:
    cache = LineCache(5)
    cache.remember(b"icon", [], 0, 0)
    assert cache.find(b"icon", 7, 7) == []
    assert cache.find(b"other", 7, 7) is None


def test_longest_unused_line_is_forgotten_first() -> None:
    cache = LineCache(2)
    cache.remember(b"a", [WORD], 0, 0)
    cache.remember(b"b", [WORD], 0, 0)
    cache.find(b"a", 0, 0)
    cache.remember(b"c", [WORD], 0, 0)
    assert len(cache) == 2
    assert cache.find(b"b", 0, 0) is None
    assert cache.find(b"a", 0, 0) is not None


def test_cache_of_no_lines_remembers_nothing() -> None:
    cache = LineCache(0)
    cache.remember(b"a", [WORD], 0, 0)
    assert cache.find(b"a", 0, 0) is None


def test_key_tells_ink_and_width_apart() -> None:
    ink = np.zeros((4, 8), bool)
    ink[1, 3] = True
    moved = np.roll(ink, 1)
    assert key_of(ink) == key_of(ink.copy())
    assert len({key_of(ink), key_of(moved), key_of(ink.reshape(8, 4)), key_of(ink.reshape(2, 16))}) == 4
