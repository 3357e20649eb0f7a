"""Reads again, in the academy's other languages, the blocks of a page of which its first language made little."""

from collections.abc import Sequence

from appliance.ocr.engine import BLOCK, Engine, ReadWord
from appliance.ocr.flatten import Ink
from appliance.ocr.lines import Box, order_for_reading
from appliance.ocr.textlines import confidence, letters

DOUBTFUL, LESS_DOUBTFUL = 92, 96
"""A block read with less confidence than this may be in another language; the second, once one on the page was."""
LEAST_LETTERS = 8
LEAST_WIDTH = 60
"""Pixels. Narrower blocks are icons and labels of a word or two."""
LEAST_GAIN = 1.03
"""Another language must read a block by this much better, letters times confidence, to be believed."""
TRIALS, TRIAL_ROWS = 3, 4
"""So many lines of so many blocks, the largest, are read in every language; what won there is tried on the rest."""
MOST_BLOCKS = 10
MARGIN = 8

Words = dict[int, list[ReadWord]]
"""The words of a page by the unit of ink that they stand in."""


class OtherLanguages:
    """The engines of the languages beside the first, warm."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = list(engines)

    def read(self, paper: Ink, units: dict[int, Box], found: Words, deadline: float) -> Words:
        """What is better read in another language, by unit: for the caller to put in the place of what was ``found``.

        paper: ink is 0, paper 255. units: the pieces of ink that ``found`` was read from.
        """
        if not self._engines or not units:
            return {}
        better: Words = {}
        winners: list[Engine] = []
        for number, (sure, rows) in enumerate(_doubtful_blocks(units, found)[:MOST_BLOCKS]):
            if number >= TRIALS and not winners:
                break
            if sure >= DOUBTFUL and not winners:
                continue
            engines = self._engines if number < TRIALS else winners
            engine, read = _best(paper, rows[:TRIAL_ROWS], units, found, engines, deadline)
            if engine is None:
                continue
            if engine not in winners:
                winners.append(engine)
            if len(rows) > TRIAL_ROWS:
                engine, read = _best(paper, rows, units, found, [engine], deadline)
            better |= read
        return better


def _doubtful_blocks(units: dict[int, Box], found: Words) -> list[tuple[float, list[list[int]]]]:
    """Blocks that were read with some doubt: the confidence, and their rows of unit numbers.

    Those of great doubt come first, the larger before the smaller.
    """
    numbers = list(units)
    blocks = []
    for places in order_for_reading([units[i] for i in numbers]):
        rows = [[numbers[place] for place in row] for row in places]
        box = _around([units[i] for row in rows for i in row])
        words = [word for row in rows for i in row for word in found.get(i, ())]
        if box.right - box.left < LEAST_WIDTH or sum(len(letters(word)) for word in words) < LEAST_LETTERS:
            continue
        sure = confidence(words)
        if sure < LESS_DOUBTFUL:
            blocks.append((sure >= DOUBTFUL, -box.area, sure, rows))
    blocks.sort(key=lambda one: one[:2])
    return [(sure, rows) for _, _, sure, rows in blocks]


def _best(
    paper: Ink,
    rows: Sequence[Sequence[int]],
    units: dict[int, Box],
    found: Words,
    engines: Sequence[Engine],
    deadline: float,
) -> tuple[Engine | None, Words]:
    """The engine that makes more of some rows than was ``found``, and its words by unit; None if none does."""
    block = [i for row in rows for i in row]
    place = _around([units[i] for i in block]).grown(MARGIN, paper.shape)
    least = LEAST_GAIN * _worth([word for i in block for word in found.get(i, ())])
    best: tuple[Engine | None, Words] = (None, {})
    for engine in engines:
        words = [
            word._replace(box=word.box.moved(place.left, place.top))
            for word in engine.read(paper[place.cut], 1.5, BLOCK, deadline)
        ]
        if _worth(words) > least:
            least = _worth(words)
            best = (engine, {i: [] for i in block} | _by_unit(words, {i: units[i] for i in block}))
    return best


def _worth(words: Sequence[ReadWord]) -> float:
    """Confidence counts twice: a wrong language reads as many letters, with less of it."""
    return sum(word.confidence**2 * len(letters(word)) for word in words)


def _by_unit(words: Sequence[ReadWord], units: dict[int, Box]) -> Words:
    """Each word with the unit whose box its middle is nearest to."""
    grouped: Words = {}
    for word in words:
        x, y = (word.box.left + word.box.right) / 2, (word.box.top + word.box.bottom) / 2
        unit = min(units, key=lambda i: _distance(units[i], x, y))
        grouped.setdefault(unit, []).append(word)
    return grouped


def _distance(box: Box, x: float, y: float) -> float:
    return max(box.left - x, x - box.right, 0.0) + 2 * max(box.top - y, y - box.bottom, 0.0)


def _around(boxes: Sequence[Box]) -> Box:
    box = boxes[0]
    for other in boxes[1:]:
        box = box.around(other)
    return box
