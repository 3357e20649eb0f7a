"""Makes a screen look like a printed page: dark text, light text and coloured bubbles all become ink on white.

Tesseract alone reads white text on a coloured bubble very badly (58 % of its characters wrong when measured). What a
person sees is that letters differ from what is right around them, and that is what is computed here.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.ocr.image import Pixels

Ink = NDArray[Any]
"""Bytes, rows x columns, 0 (paper) to 255 (ink)."""

# all measured on rendered screens; 31 pixels and more lose text near the edges of bubbles, 17 bold headlines
NEIGHBOURHOOD = 21
FAINTEST = 60
"""Differences weaker than this are not strengthened to full ink, so that the grain of a photograph stays faint."""
INK = 60
"""From this value on a pixel counts as ink."""

TALLEST_LETTER = 90
WIDEST_WORD = 400


def flatten(pixels: Pixels) -> Ink:
    """The ink of a picture, whichever is darker, text or ground: each pixel's difference from the local median colour.

    Faint text is strengthened to full ink (the page is thresholded as a whole later, and grey text would vanish beside
    black), and what can't be text is taken away: frames, rules, pictures, round portraits, filled shapes.
    """
    difference = cv2.absdiff(pixels, _ground(pixels, NEIGHBOURHOOD, 2))
    channels = cv2.split(difference)
    strongest = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
    return _remove_furniture(_strengthen(strongest, NEIGHBOURHOOD * 2 - 1))


def flatten_by_direction(pixels: Pixels) -> tuple[Ink, Ink]:
    """Ink lighter than its ground, and ink darker than it, apart.

    On a photograph or a game the strokes behind the text touch it; most of them differ the other way or less, so that
    in one of the two the letters stand free.
    """
    ground = _ground(pixels, 61, 4)
    both = []
    for difference in (cv2.subtract(pixels, ground), cv2.subtract(ground, pixels)):
        channels = cv2.split(difference)
        both.append(_strengthen(cv2.min(cv2.min(channels[0], channels[1]), channels[2]), 61))
    return both[0], both[1]


def flatten_by_colour(pixels: Pixels, letters: NDArray[np.bool_]) -> Ink | None:
    """The ink of a small piece of picture where the pixels that are surely letters are known.

    Text has one colour; what is as near to it as makes no difference is ink, whatever lies behind. None where the
    letters have no one colour, so aren't letters.
    """
    colour = np.median(pixels[letters], axis=0)
    if np.abs(pixels[letters] - colour).max(axis=1).mean() > 25:
        return None
    distance = np.abs(pixels - colour).max(axis=2)
    # the ground is most of a line of text: at 60 % of its usual distance from the letters a pixel is ground
    paper = max(30.0, float(np.percentile(distance, 60)) * 0.6)
    ink: Ink = (255 - np.clip(distance * (255 / paper), 0, 255)).astype(np.uint8)
    return ink


def _ground(pixels: Pixels, neighbourhood: int, shrink: int) -> Pixels:
    """The median colour around each pixel, computed on a picture ``shrink`` times smaller: faster, no worse to read."""
    height, width = pixels.shape[:2]
    size = max(1, width // shrink), max(1, height // shrink)
    median = cv2.medianBlur(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), neighbourhood // shrink | 1)
    return cv2.resize(median, (width, height), interpolation=cv2.INTER_LINEAR)


def _strengthen(difference: Ink, reach: int) -> Ink:
    """Scales each pixel by the strongest difference within ``reach`` pixels, so that all text becomes equally black."""
    height, width = difference.shape
    # the strongest value changes slowly, so a quarter of the size is enough for it
    strongest = cv2.dilate(difference, np.ones((4, 4), np.uint8))[::4, ::4]
    size = reach // 4 | 1
    strongest = cv2.blur(cv2.dilate(strongest, np.ones((size, size), np.uint8)), (size, size))
    # sixteenths in whole bytes: a floating page of 40 megapixels would take 160 MB
    sixteenths = (16 * 255 / np.maximum(strongest, FAINTEST)).astype(np.uint8)
    return cv2.multiply(difference, cv2.resize(sixteenths, (width, height)), scale=1 / 16)


def _remove_furniture(ink: Ink) -> Ink:
    """Wipes connected ink that can't be text, and its faint edge, but no ink that belongs to something else."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((ink > INK).view(np.uint8), connectivity=8)
    _, _, width, height, area = stats.T
    unwanted = (height > TALLEST_LETTER) | (width > WIDEST_WORD)
    unwanted |= ((height <= 4) & (width >= 40)) | ((width <= 4) & (height >= 40))
    unwanted |= (area > 0.8 * width * height) & (width >= 20) & (height >= 20)
    # the outline of a bubble, or half of one: wide, and nearly nothing of its rectangle is ink
    unwanted |= (area < 0.2 * width * height) & (width >= 60) & (height >= 12)
    unwanted |= _stands_alone(labels, stats, unwanted)
    unwanted[0] = False  # the paper
    wanted = ~unwanted
    wanted[0] = False
    removed, kept = unwanted[labels], wanted[labels]
    kept |= _torn_off(ink, removed, kept)
    near_removed = cv2.dilate(removed.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return np.where(near_removed & ~kept, 0, ink).astype(np.uint8)


def _torn_off(ink: Ink, removed: NDArray[np.bool_], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Letters among the ``removed`` ink: the p and g whose tails touch a picture below, seen at their blackest.

    Only what stands right beside ``kept`` ink counts. All are rows x columns.
    """
    beside_text = cv2.dilate(kept.view(np.uint8), np.ones((1, 15), np.uint8)) > 0
    if not (removed & beside_text).any():
        return np.zeros_like(kept)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((removed & (ink > 140)).view(np.uint8), connectivity=8)
    _, _, width, height, _ = stats.T
    letters = (height >= 5) & (height <= 40) & (width >= 2) & (width <= 60)
    touching = np.zeros(len(stats), bool)
    touching[np.unique(labels[beside_text])] = True
    letters &= touching
    letters[0] = False
    torn_off: NDArray[np.bool_] = letters[labels]
    return torn_off


def _stands_alone(labels: NDArray[Any], stats: NDArray[Any], unwanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a piece of ink is a round or narrow thing of 22 to 90 pixels with nothing of its height beside it.

    A portrait or a round icon, that is, or the end of a bubble. A large O has another letter next to it; letters that
    run into each other make square pieces too, but with ink in the corners.
    """
    x, y, width, height, _ = stats.T
    alone = np.zeros(len(stats), bool)
    tall = (height >= 22) & (height <= TALLEST_LETTER)
    squares = (width >= 0.8 * height) & (width <= 1.25 * height)
    narrow = width <= 0.45 * height
    letters = np.flatnonzero((height >= 9) & ~unwanted)
    for i in np.flatnonzero(tall & (squares | narrow) & ~unwanted):
        own = labels[y[i] : y[i] + height[i], x[i] : x[i] + width[i]] == i
        corner = max(2, int(0.12 * min(height[i], width[i])))
        if squares[i] and any(own[rows, columns].any() for rows in _ends(corner) for columns in _ends(corner)):
            continue
        near = letters[(height[letters] >= 0.45 * height[i]) & (height[letters] < 2 * height[i]) & (letters != i)]
        beside = (y[near] < y[i] + height[i]) & (y[near] + height[near] > y[i])
        beside &= (x[near] < x[i] + width[i] + 0.5 * height[i]) & (x[near] + width[near] > x[i] - 0.5 * height[i])
        alone[i] = not beside.any()
    return alone


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)
