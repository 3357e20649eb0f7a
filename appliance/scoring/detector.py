"""Pluggable detectors of what is in a picture: any ONNX model in a folder with a card. None ships with the box.

The card, ``detector.json``, says what the model is, under which licence, how its picture goes in, and what each of its
classes means to a DSL. docs/images.md shows one.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from appliance.safeguarding.image import ImageFinding
from appliance.safeguarding.installation import InstallationError
from appliance.safeguarding.severity import Category, Severity

CARD = "detector.json"
MOST_TILES = 6
_NEEDED = ("name", "version", "licence", "sha256", "model", "input", "output", "classes")


class DetectorError(InstallationError):
    """A detector can't be used. The message is one sentence for the person who runs the box."""


@dataclass(frozen=True, slots=True)
class _Class:
    """What one class of the model means. said: how it is named to a moderator."""

    place: int
    said: str
    category: Category
    level: Severity
    threshold: float


class ImageDetector:
    """One model with its card, on one thread."""

    def __init__(self, folder: Path) -> None:
        """Load ``folder``. Raises DetectorError naming what is wrong: card, licence, hash, class or model."""
        self._card = _read_card(folder)
        self.name = f"{self._card['name']} {self._card['version']}"
        self.licence = str(self._card["licence"]).strip()
        if not self.licence:
            raise DetectorError(f"The detector in {folder.name} names no licence: it is not used.")
        self._classes = [_read_class(folder, entry) for entry in self._card["classes"]]
        file = folder / str(self._card["model"])
        if not file.is_file():
            raise DetectorError(f"The detector in {folder.name} lacks its model file {file.name}.")
        if hashlib.sha256(file.read_bytes()).hexdigest() != self._card["sha256"]:
            raise DetectorError(f"The model file {file.name} in {folder.name} is not the one its card names.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            self._input = self._session.get_inputs()[0].name
            self._scores(np.zeros((64, 64, 3), np.uint8))
        except Exception as error:
            raise DetectorError(f"The detector in {folder.name} can't be run: {type(error).__name__}.") from error

    def find(self, screen: NDArray[Any]) -> list[ImageFinding]:
        """A finding for each class that reaches its threshold anywhere. screen: rows x columns x 3, blue first."""
        scores = np.max([self._scores(tile) for tile in self._tiles(screen)], axis=0)
        return [
            ImageFinding(
                one.category,
                one.level,
                score := float(min(max(scores[one.place], 0.0), 1.0)),
                one.threshold,
                f"{one.said[:1].upper()}{one.said[1:]} in the picture, seen by {self.name} at {score:.2f}"
                f" (shown from {one.threshold:.2f})",
                self.name,
            )
            for one in self._classes
            if scores[one.place] >= one.threshold
        ]

    def _tiles(self, screen: NDArray[Any]) -> list[NDArray[Any]]:
        """The whole screen and, where the card asks for it, squares of it: a small picture on it vanishes otherwise."""
        tiles = [screen]
        wanted = min(int(self._card["input"].get("tiles", 0)), MOST_TILES)
        if wanted >= 2:
            height, width = screen.shape[:2]
            columns = max(1, round(np.sqrt(wanted * width / height)))
            rows = max(1, wanted // columns)
            tiles += [
                screen[
                    height * row // rows : height * (row + 1) // rows,
                    width * at // columns : width * (at + 1) // columns,
                ]
                for row in range(rows)
                for at in range(columns)
            ]
        return tiles

    def _scores(self, picture: NDArray[Any]) -> NDArray[np.float64]:
        """One score a class of the model."""
        how = self._card["input"]
        width, height = how["size"]
        resized = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
        if how.get("order", "RGB") == "RGB":
            resized = resized[..., ::-1]
        ready = (resized * np.float32(how.get("scale", 1 / 255)) - np.float32(how.get("mean", 0))).astype(np.float32)
        batch = ready.transpose(2, 0, 1)[None] if how.get("layout", "NCHW") == "NCHW" else ready[None]
        output = np.asarray(self._session.run(None, {self._input: np.ascontiguousarray(batch)})[0], dtype=float)[0]
        kind = self._card["output"]["kind"]
        if kind == "boxes":
            # a column a box: four edges, then a score a class
            return np.asarray(output[4:].max(axis=1))
        if kind == "softmax":
            grown = np.exp(output - output.max())
            return np.asarray(grown / grown.sum())
        return output


def load_detectors(folder: Path) -> list[ImageDetector]:
    """Every detector in the folders of ``folder``; none, if it isn't there. Raises DetectorError."""
    return [ImageDetector(card.parent) for card in sorted(folder.glob(f"*/{CARD}"))] if folder.is_dir() else []


def _read_card(folder: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DetectorError(f"The card {CARD} in {folder.name} can't be read: {type(error).__name__}.") from error
    missing = [key for key in _NEEDED if not isinstance(card, dict) or key not in card]
    if missing:
        raise DetectorError(f"The card {CARD} in {folder.name} lacks {', '.join(missing)}.")
    if card["output"].get("kind") not in ("scores", "softmax", "boxes"):
        raise DetectorError(f"The card {CARD} in {folder.name}: output.kind is scores, softmax or boxes.")
    return card


def _read_class(folder: Path, entry: dict[str, Any]) -> _Class:
    try:
        found = _Class(
            int(entry["place"]), str(entry["said"]), Category(entry["category"]), Severity(entry["level"]),
            float(entry["threshold"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise DetectorError(f"The card {CARD} in {folder.name} has a class that can't be used: {error}.") from error
    if found.category is Category.NONE or not 0 < found.threshold <= 1:
        raise DetectorError(f"The card {CARD} in {folder.name}: a class needs a category and a threshold above 0.")
    return found
