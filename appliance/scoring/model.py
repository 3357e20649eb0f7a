"""The scoring model: one ONNX file, checked against its own card, run on one thread and one text at a time."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from appliance.safeguarding.installation import InstallationError
from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.normalise import normalise

MODEL_FOLDER = Path(__file__).with_name("model")
MAX_PIECES = 128
"""Longest text in word pieces, with its two end marks, that the encoder was trained on."""


class ModelFileError(InstallationError):
    """The model can't be used. The message is one sentence for the person who runs the box."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the model makes of one window.

    scores: 0 to 1 a category; the greatest is the calibrated chance that the text is a risk at all, serious ones
    counting for more, and the others stand to it as their categories' chances do. at_least: probability of level 2, 3,
    4, 5 or more.
    """

    scores: dict[Category, float]
    at_least: tuple[float, ...]

    def nearest(self, thresholds: dict[Category, float]) -> tuple[Category, float]:
        """The category whose score is the greatest share of its threshold, and that share: shown from 1 upwards."""
        category = max(self.scores, key=lambda one: self.scores[one] / thresholds[one])
        return category, self.scores[category] / thresholds[category]

    def weighted(self, weight: float) -> "Assessment":
        """The same, counting ``weight`` (0 to 1) of it."""
        return Assessment(
            {category: score * weight for category, score in self.scores.items()},
            tuple(probability * weight for probability in self.at_least),
        )


class ScoringModel:
    """One loaded model. Safe to share between threads: a run keeps nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load ``folder`` (model.onnx, tokenizer.json, model.json). Raises ModelFileError, saying what is wrong."""
        folder = folder or MODEL_FOLDER
        self.card = _read_card(folder)
        for name, key in (("model.onnx", "sha256"), ("tokenizer.json", "tokenizer_sha256")):
            _check_hash(folder / name, self.card[key])
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session = _open_session(folder / "model.onnx")
        except Exception as error:
            raise ModelFileError(f"The scoring model in {folder.name} can't be loaded: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._vocabulary = frozenset(self._tokenizer.get_vocab())
        self.categories = tuple(Category(name) for name in self.card["categories"])
        self.name = f"{self.card['name']} {self.card['version']}"
        self._calibration: dict[str, Any] = self.card["calibration"]
        self.thresholds = {Category(name): float(t) for name, t in self.card["thresholds"]["category"].items()}
        self._level_thresholds = tuple(float(t) for t in self.card["thresholds"]["level"])

    def normalise(self, text: str) -> str:
        """``text`` as the model wants it spelt."""
        return normalise(text, self._vocabulary.__contains__)

    def count_pieces(self, normalised: str) -> int:
        """How many word pieces ``normalised`` takes, without the two end marks."""
        return len(self._tokenizer.encode(normalised, add_special_tokens=False).ids)

    def run(self, normalised: str) -> tuple[np.ndarray, np.ndarray, float]:
        """Raw logits for one normalised text: a category (C,), level 2, 3, 4, 5 or more (4,), any risk."""
        ids = self._tokenizer.encode(normalised).ids
        if len(ids) > MAX_PIECES:
            ids = [*ids[: MAX_PIECES - 1], ids[-1]]
        outputs = self._session.run(["category", "severity", "risk"], {"input_ids": np.array([ids], dtype=np.int64)})
        return outputs[0][0], outputs[1][0], float(outputs[2][0])

    def assess(self, normalised: str) -> Assessment:
        """Calibrated scores for one normalised text of at most MAX_PIECES pieces (the rest is not read)."""
        if not normalised.strip():
            return Assessment(dict.fromkeys(self.categories, 0.0), (0.0,) * 4)
        return calibrate(*self.run(normalised), self.categories, self._calibration)

    def level(self, at_least: Sequence[float]) -> Severity:
        """The highest level whose probability, of that level or more, reaches its threshold."""
        reached = [
            level
            for level, probability, threshold in zip(list(Severity)[1:], at_least, self._level_thresholds, strict=True)
            if probability >= threshold
        ]
        return max(reached, default=Severity.NOISE)


def calibrate(
    category: np.ndarray, severity: np.ndarray, risk: float, categories: Sequence[Category], calibration: dict[str, Any]
) -> Assessment:
    """Raw logits to an Assessment, by the slopes and offsets fitted on the quantised model's development texts."""
    weights = calibration["risk"]
    serious = weights["level_3"] * float(severity[1]) + weights["level_4"] * float(severity[2])
    probability = _sigmoid(weights["risk"] * risk + serious + weights["offset"])
    chances = [
        _sigmoid(slope * float(logit) + offset)
        for logit, (slope, offset) in zip(category, calibration["category"], strict=True)
    ]
    greatest = max(chances)
    at_least: list[float] = []
    ceiling = 1.0
    for logit, (slope, offset) in zip(severity, calibration["severity"], strict=True):
        ceiling = min(ceiling, _sigmoid(slope * float(logit) + offset))
        at_least.append(ceiling)
    scores = {name: probability * chance / greatest for name, chance in zip(categories, chances, strict=True)}
    return Assessment(scores, tuple(at_least))


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value)) if value >= 0 else math.exp(value) / (1.0 + math.exp(value))


def _read_card(folder: Path) -> dict[str, Any]:
    """model.json as a dictionary with every key that is used."""
    try:
        card: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFileError(f"The scoring model is missing: there is no model.json in {folder.name}.") from error
    except (OSError, ValueError) as error:
        raise ModelFileError(f"The scoring model's card, model.json, can't be read: {error}") from error
    needed = ("name", "version", "sha256", "tokenizer_sha256", "categories", "calibration", "thresholds")
    missing = [key for key in needed if not isinstance(card, dict) or key not in card]
    if missing:
        raise ModelFileError(f"The scoring model's card, model.json, lacks {', '.join(missing)}.")
    return card


def _check_hash(file: Path, expected: str) -> None:
    """Raise ModelFileError unless the file is there and is the one that the card names."""
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelFileError(f"The scoring model is missing its file {file.name}.") from error
    if found != expected:
        raise ModelFileError(
            f"The scoring model's file {file.name} is not the one its card names (sha256 {found[:12]}, "
            f"expected {expected[:12]}): install the model again."
        )


def _open_session(file: Path) -> Any:
    """An inference session on one thread that doesn't spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
