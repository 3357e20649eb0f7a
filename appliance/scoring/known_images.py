"""Compares a picture with a trust's own offline lists of known images, by PDQ hash.

PDQ is the published perceptual hash of 256 bits (Facebook's ThreatExchange, BSD licence); computed here from its
description, since its library exists as source to compile only. The lists come from whoever gives them to the trust,
under that body's licence; none ships, and nothing is sent or fetched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.safeguarding.image import ImageFinding
from appliance.safeguarding.installation import InstallationError
from appliance.safeguarding.severity import Category, Severity

Picture = NDArray[Any]
"""Bytes, rows x columns x 3: blue, green, red."""

MOST_DISTANCE = 31
"""Bits, of 256, that may differ in a match: as the makers of PDQ advise."""
LEAST_QUALITY = 50
"""Of 100. Below it a picture has too little in it to be told from others, and is not compared."""
SMALLEST_PICTURE = 96
"""Pixels: less wide or high, a part of a screen is not looked at by itself."""
MOST_PARTS = 12

_LINE = re.compile(r"^\s*([0-9a-fA-F]{64})\s*(?:[,;\s].*)?$")
_FREQUENCIES = np.arange(1, 17)[:, None] * (2 * np.arange(64) + 1)[None, :]
_WAVES = np.sqrt(2 / 64) * np.cos(np.pi / 128 * _FREQUENCIES)


class ImageListError(InstallationError):
    """A list of known images can't be used. The message is one sentence for the person who runs the box."""


@dataclass(frozen=True, slots=True)
class PictureHash:
    """PDQ's hash of one picture: 256 bits as four numbers of 64, and how much there is to tell it by, 0 to 100."""

    bits: NDArray[np.uint64]
    quality: int

    @property
    def text(self) -> str:
        """64 hexadecimal digits, as lists write it."""
        return self.bits.astype(">u8").tobytes().hex()


def hash_picture(picture: Picture) -> PictureHash:
    """The PDQ hash of ``picture``, at least 5 x 5 pixels."""
    blue, green, red = (picture[..., channel].astype(np.float32) for channel in range(3))
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    for _ in range(2):
        light = _blur(_blur(light).T).T
    small = light[_centres(light.shape[0])][:, _centres(light.shape[1])]
    frequencies = (_WAVES @ small @ _WAVES.T).ravel()
    # the 128th of 256 in order, as the original has it, not the mean of the two in the middle
    bits = frequencies > np.partition(frequencies, 127)[127]
    return PictureHash(np.packbits(bits[::-1]).view(">u8").astype(np.uint64), _quality(small))


def find_pictures(screen: Picture) -> list[tuple[int, int, int, int]]:
    """Rectangles (left, top, right, bottom) of a screen that look like pictures on it, the largest first."""
    grey = cv2.cvtColor(screen, cv2.COLOR_BGR2GRAY)
    busy = (cv2.dilate(grey, np.ones((3, 3), np.uint8)) != cv2.erode(grey, np.ones((3, 3), np.uint8))).astype(np.uint8)
    # text is busy only in part: what is left after opening is busy all over
    solid = cv2.morphologyEx(cv2.morphologyEx(busy, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)), cv2.MORPH_OPEN,
                             np.ones((31, 31), np.uint8))  # fmt: skip
    _, _, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    found = [
        (int(x), int(y), int(x + width), int(y + height))
        for x, y, width, height, area in stats[1:]
        if width >= SMALLEST_PICTURE and height >= SMALLEST_PICTURE and area >= 0.7 * width * height
    ]
    # the busy band reaches one pixel into the ground on every side
    shrunk = [(left + 1, top + 1, right - 1, bottom - 1) for left, top, right, bottom in found]
    return sorted(shrunk, key=lambda box: -(box[2] - box[0]) * (box[3] - box[1]))[:MOST_PARTS]


class KnownImages:
    """The lists of one folder, in memory: 32 bytes an image."""

    def __init__(self, folder: Path) -> None:
        """Read every ``*.txt`` of ``folder``; none, if the folder isn't there.

        A line is 64 hexadecimal digits, what follows a comma is passed over; # begins a remark, and "# category:" and
        "# level:" say what a match is (by default sexual, level 5). Raises ImageListError naming file and line.
        """
        self._lists = [_read_list(file) for file in sorted(folder.glob("*.txt"))] if folder.is_dir() else []

    def __len__(self) -> int:
        return sum(len(one.hashes) for one in self._lists)

    def find(self, screen: Picture) -> list[ImageFinding]:
        """A finding for each list that knows the screen or a picture on it."""
        if not len(self):
            return []
        parts = list(_parts(screen))
        return [finding for one in self._lists if (finding := one.find(parts)) is not None]


@dataclass(frozen=True, slots=True)
class _ImageList:
    name: str
    category: Category
    level: Severity
    hashes: NDArray[np.uint64]

    def find(self, parts: list[PictureHash]) -> ImageFinding | None:
        nearest = min((self._distance(part) for part in parts), default=256)
        if nearest > MOST_DISTANCE:
            return None
        said = f"The picture is on the trust's list of known images “{self.name}” ({nearest} of 256 bits differ)"
        return ImageFinding(self.category, self.level, 1.0, 1.0, said, f"PDQ list {self.name}")

    def _distance(self, part: PictureHash) -> int:
        return int(np.bitwise_count(self.hashes ^ part.bits).sum(axis=1).min()) if len(self.hashes) else 256


def _parts(screen: Picture) -> Iterator[PictureHash]:
    """The hashes of the whole screen and of each picture on it that has enough in it."""
    whole = (0, 0, screen.shape[1], screen.shape[0])
    for left, top, right, bottom in [whole, *find_pictures(screen)]:
        if min(right - left, bottom - top) < 5:
            continue
        found = hash_picture(screen[top:bottom, left:right])
        if found.quality >= LEAST_QUALITY:
            yield found


def _read_list(file: Path) -> _ImageList:
    said: dict[str, str] = {}
    rows: list[str] = []
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ImageListError(f"The list of known images {file.name} can't be read: {type(error).__name__}.") from error
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("#"):
            key, colon, value = line.lstrip("# \t").partition(":")
            if colon:
                said[key.strip().lower()] = value.strip()
        elif found := _LINE.match(line):
            rows.append(found.group(1))
        elif line.strip() and not (number == 1 and "hash" in line.lower()):
            raise ImageListError(f"{file.name}, line {number}: 64 hexadecimal digits of a PDQ hash are expected.")
    try:
        category = Category(said.get("category", Category.SEXUAL))
        level = Severity(int(said.get("level", Severity.IMMEDIATE)))
    except ValueError as error:
        raise ImageListError(f"{file.name}: “# category:” or “# level:” names none that there is.") from error
    hashes = np.frombuffer(bytes.fromhex("".join(rows)), ">u8").astype(np.uint64).reshape(-1, 4)
    return _ImageList(said.get("name", file.stem), category, level, hashes)


def _blur(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every row's running mean over a 128th of its length, less at the ends."""
    length = rows.shape[1]
    window = (length + 127) // 128
    ahead = (window + 2) // 2
    places = np.arange(length)
    first = np.maximum(places + ahead - window, 0)
    last = np.minimum(places + ahead, length)
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1, dtype=np.float64)], axis=1)
    return ((sums[:, last] - sums[:, first]) / (last - first)).astype(np.float32)


def _centres(length: int) -> NDArray[np.int64]:
    return ((np.arange(64) + 0.5) * length / 64).astype(np.int64)


def _quality(small: NDArray[np.float32]) -> int:
    """0 to 100 by how much neighbouring places differ."""
    steps = sum(int(np.abs(np.trunc(np.diff(small, axis=axis) * 100 / 255)).sum()) for axis in (0, 1))
    return min(100, steps // 90)
