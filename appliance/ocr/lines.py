"""Where the lines of text are on a page of ink, and in which order a person reads them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
"""Rows x columns, true where there is ink."""

WORD_GAP = 9
"""Ink no further apart than this, in pixels, is joined at once; the larger gaps of larger letters later."""
SMALLEST_LETTER = 5
"""Lower pieces are dots, commas and dashes: they join a line but never begin one beside others."""
BAND = 32
TOO_MANY = 12


class Box(NamedTuple):
    """Edges in pixels; right and bottom are the first pixel outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def area(self) -> int:
        return (self.right - self.left) * (self.bottom - self.top)

    def around(self, other: "Box") -> "Box":
        """The smallest box that holds both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def grown(self, margin: int, shape: tuple[int, ...]) -> "Box":
        """This box with a margin on every side, within a picture of ``shape`` (rows, columns)."""
        return Box(
            max(0, self.left - margin),
            max(0, self.top - margin),
            min(shape[1], self.right + margin),
            min(shape[0], self.bottom + margin),
        )

    def moved(self, x: int, y: int) -> "Box":
        return Box(self.left + x, self.top + y, self.right + x, self.bottom + y)

    @property
    def cut(self) -> tuple[slice, slice]:
        """What to index a picture with to have this box of it."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


class Units(NamedTuple):
    """The ink of a page in pieces of about a line. owner: rows x columns, a pixel's index in boxes, or -1 for paper."""

    boxes: list[Box]
    owner: NDArray[Any]


def find_units(ink: Mask) -> Units:
    """Every piece of ink belongs to exactly one unit: nothing is left over, so going unit by unit loses nothing."""
    labels, pieces = _pieces(ink)
    boxes, members = _join(pieces)
    unit_of_label = np.full(len(pieces) + 1, -1, np.int32)
    for unit, labels_of_unit in enumerate(members):
        unit_of_label[np.asarray(labels_of_unit) + 1] = unit
    return Units(boxes, unit_of_label[labels])


def find_lines(ink: Mask) -> list[Box]:
    """Lines of letters in ink that holds much else: only what has a letter's size and shape is looked at."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink.view(np.uint8), connectivity=8)
    _, _, width, height, area = stats.T
    letters = (height <= 90) & (width <= 140) & (area >= 3)
    letters &= ~((height >= 2.6 * width) & (height >= 22)) & ~((width >= 5 * height) & (width >= 30))
    letters[0] = False
    return _join(_pieces(letters[labels])[1])[0]


def _pieces(ink: Mask) -> tuple[NDArray[Any], list[Box]]:
    """Ink joined over a small gap: each pixel's piece, 0 for paper, and the boxes of the pieces from 1 on."""
    joined = cv2.morphologyEx(ink.view(np.uint8), cv2.MORPH_CLOSE, np.ones((1, WORD_GAP), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    return labels, [Box(x, y, x + w, y + h) for x, y, w, h, _ in stats[1:].tolist()]


def _join(pieces: Sequence[Box]) -> tuple[list[Box], list[list[int]]]:
    """Pieces on one level with a word's gap between them, joined; with the indices of the pieces each is made of."""
    boxes: list[Box] = []
    members: list[list[int]] = []
    bands: dict[int, list[int]] = {}
    tall = [i for i, piece in enumerate(pieces) if piece.height >= SMALLEST_LETTER]
    low = [i for i, piece in enumerate(pieces) if piece.height < SMALLEST_LETTER]
    for i in sorted(tall, key=lambda i: pieces[i].left) + low:
        piece = pieces[i]
        band = (piece.top + piece.bottom) // 2 // BAND
        near = [unit for b in (band - 1, band, band + 1) for unit in bands.get(b, ())[-40:]]
        accept = _follows if piece.height >= SMALLEST_LETTER else _is_mark_of
        found = min(
            (unit for unit in near if accept(piece, boxes[unit])),
            key=lambda unit: abs(piece.left - boxes[unit].right) + abs(piece.bottom - boxes[unit].bottom),
            default=None,
        )
        if found is None:
            bands.setdefault(band, []).append(len(boxes))
            boxes.append(piece)
            members.append([i])
        else:
            boxes[found] = boxes[found].around(piece)
            members[found].append(i)
    return boxes, members


def _follows(piece: Box, line: Box) -> bool:
    lower, higher = sorted((piece.height, line.height))
    gap = piece.left - line.right
    overlap = min(piece.bottom, line.bottom) - max(piece.top, line.top)
    return higher <= 2.6 * lower and overlap >= 0.55 * lower and gap <= max(11, 1.2 * lower)


def _is_mark_of(mark: Box, line: Box) -> bool:
    beside = line.left - 6 <= mark.left and mark.right <= line.right + 10
    return beside and mark.bottom >= line.top - max(3, 0.3 * line.height) and mark.top <= line.bottom + 2


def order_for_reading(boxes: Sequence[Box]) -> list[list[list[int]]]:
    """Blocks of rows of indices into ``boxes``: a row is one line on the screen, a block what belongs together.

    Columns stay apart, so that a sentence broken over lines stays whole though other text stands beside it.
    """
    rows: list[tuple[Box, list[int]]] = []
    for i in sorted(range(len(boxes)), key=lambda i: boxes[i].left):
        for n in range(len(rows) - 1, max(-1, len(rows) - 201), -1):
            if _continues_row(boxes[i], rows[n][0]):
                rows[n] = (rows[n][0].around(boxes[i]), [*rows[n][1], i])
                break
        else:
            rows.append((boxes[i], [i]))
    blocks: list[list[tuple[Box, list[int]]]] = []
    for row in sorted(rows, key=lambda row: row[0].top):
        for block in reversed(blocks[-60:]):
            if _stands_under(row[0], block[-1][0]):
                block.append(row)
                break
        else:
            blocks.append([row])
    return [[indices for _, indices in block] for block in blocks]


def _continues_row(box: Box, row: Box) -> bool:
    lower, higher = sorted((box.height, row.height))
    overlap = min(box.bottom, row.bottom) - max(box.top, row.top)
    return overlap > 0.6 * lower and -4 <= box.left - row.right <= 2.2 * higher and higher <= 2 * lower


def _stands_under(row: Box, above: Box) -> bool:
    gap = row.top - above.bottom
    narrower = min(row.right - row.left, above.right - above.left)
    overlap = min(row.right, above.right) - max(row.left, above.left)
    aligned = abs(row.left - above.left) <= 1.2 * row.height
    centred = abs(row.left + row.right - above.left - above.right) <= 2 * row.height
    near = -0.35 * row.height <= gap <= 1.1 * max(row.height, above.height)
    return near and overlap > 0.5 * narrower and (aligned or centred)


def regions(boxes: Iterable[Box], shape: tuple[int, ...]) -> list[Box]:
    """Rectangles that hold all ``boxes`` with some paper around, near ones together; one for all if there'd be many."""
    found: list[Box] = [box.grown(14, shape) for box in boxes]
    merged = True
    while merged:
        merged = False
        apart: list[Box] = []
        for box in found:
            for n, other in enumerate(apart):
                across = min(box.right, other.right) - max(box.left, other.left)
                down = min(box.bottom, other.bottom) - max(box.top, other.top)
                if across > -20 and down > -20:
                    apart[n] = other.around(box)
                    merged = True
                    break
            else:
                apart.append(box)
        found = apart
    if len(found) > TOO_MANY:
        whole = found[0]
        for box in found[1:]:
            whole = whole.around(box)
        return [whole]
    return found
