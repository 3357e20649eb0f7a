"""Fits what stands between the quantised model's logits and its scores: slopes, offsets, thresholds.

Everything here is fitted on the development texts alone, run through the very file that ships.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.safeguarding.severity import Category
from appliance.scoring.model import Assessment, calibrate
from training.data import Item

HARD_SHOWN_PER_1000 = 44.0
HARD_SERIOUS_PER_1000 = 38.0
ORDINARY_SHOWN_PER_1000 = 16.0
"""How many benign development texts may be shown at all, and shown at level 4 or more, when thresholds are set.

Somewhat fewer than is wanted in the field: thresholds fit their own few hundred texts better than they fit new ones.
"""
SHRINK = 80
"""A category's own threshold counts half when this many benign texts came nearest to it."""
FAVOUR = {2: 1.0, 3: 2.0, 4: 3.0, 5: 0.25}
"""How much worse it is to grade a text of this level lower than to grade a lower one as this.

Level 4 is favoured, since a moderator looks before anybody is told; level 5 is not, since it rings people at once.
"""
COUNTS = {1: 0.5, 2: 0.5, 3: 1.0, 4: 3.0, 5: 4.0}
"""How much a risk text of each level counts when the one risk score is put together."""
IDENTITY: dict[str, Any] = {
    "risk": {"risk": 1.0, "level_3": 0.0, "level_4": 0.0, "offset": 0.0},
    "category": [[1.0, 0.0]] * (len(Category) - 1),
    "severity": [[1.0, 0.0]] * 4,
}


@dataclass(frozen=True, slots=True)
class Raw:
    """The model's logits for some texts: category (n, C), severity (n, 4), risk (n,)."""

    category: np.ndarray
    severity: np.ndarray
    risk: np.ndarray


def fit_calibration(raw: Raw, items: Sequence[Item], categories: Sequence[Category]) -> dict[str, Any]:
    """Logistic slopes and offsets for risk, each category and each level, drawn towards "leave it as it is"."""
    is_risk = np.array([item.is_risk for item in items], dtype=float)
    # the level heads rank serious texts above benign ones better than the risk head does alone
    columns = np.stack([raw.risk, raw.severity[:, 1], raw.severity[:, 2]], axis=1)
    counts = np.array([COUNTS[item.severity] if item.is_risk else 1.0 for item in items])
    weights = _logistic(columns, is_risk, np.array([0.4, 0.3, 0.3, 0.0]), ridge=1.0, counts=counts)
    by_category = []
    for place, category in enumerate(categories):
        truth = np.array([item.category is category for item in items], dtype=float)
        slope, offset = _logistic(raw.category[:, place : place + 1], truth, np.array([1.0, 0.0]), ridge=4.0)
        by_category.append([round(max(float(slope), 0.2), 6), round(float(offset), 6)])
    by_level = []
    for place, level in enumerate((2, 3, 4, 5)):
        truth = np.array([item.is_risk and item.severity >= level for item in items], dtype=float)
        slope, offset = _logistic(raw.severity[:, place : place + 1], truth, np.array([1.0, 0.0]), ridge=2.0)
        by_level.append([round(max(float(slope), 0.2), 6), round(float(offset), 6)])
    risk = dict(zip(("risk", "level_3", "level_4", "offset"), (round(float(w), 6) for w in weights), strict=True))
    return {"risk": risk, "category": by_category, "severity": by_level}


def fit_thresholds(
    raw: Raw, items: Sequence[Item], categories: Sequence[Category], calibration: dict[str, Any]
) -> dict[str, Any]:
    """A threshold a category and one a level, for at most the false alarms named above on the benign texts."""
    assessed = [
        calibrate(category, severity, float(risk), categories, calibration)
        for category, severity, risk in zip(raw.category, raw.severity, raw.risk, strict=True)
    ]
    hard = [one for one, item in zip(assessed, items, strict=True) if item.kind == "hard_benign"]
    ordinary = [one for one, item in zip(assessed, items, strict=True) if item.kind == "ordinary"]
    common = max(
        _least_threshold([max(one.scores.values()) for one in hard], HARD_SHOWN_PER_1000),
        _least_threshold([max(one.scores.values()) for one in ordinary], ORDINARY_SHOWN_PER_1000),
    )
    risks = [item.category for item in items if item.is_risk]
    thresholds: dict[Category, float] = {}
    for category in categories:
        near = [one.scores[category] for one in hard if one.scores[category] == max(one.scores.values())]
        # each category may cause false alarms in proportion to how much of the risk it finds
        allowed = HARD_SHOWN_PER_1000 * len(hard) * risks.count(category) / max(len(risks), 1)
        own = _least_threshold(near, allowed / len(near)) if near else common
        trust = len(near) / (len(near) + SHRINK)
        thresholds[category] = _expit((1 - trust) * _logit(common) + trust * _logit(own))
    thresholds = _raise_together(thresholds, hard, HARD_SHOWN_PER_1000)
    thresholds = _raise_together(thresholds, ordinary, ORDINARY_SHOWN_PER_1000)
    levels = _level_thresholds(assessed, items, thresholds)
    return {
        "category": {category.value: round(threshold, 6) for category, threshold in thresholds.items()},
        "level": levels,
    }


def _level_thresholds(
    assessed: Sequence[Assessment], items: Sequence[Item], thresholds: dict[Category, float]
) -> list[float]:
    """For levels 2 to 5, the threshold that best tells that level among the risk texts that are shown.

    Level 4 is also held to few hard benign texts.
    """
    shown = [one.nearest(thresholds)[1] >= 1 for one in assessed]
    levels: list[float] = []
    for place, level in enumerate((2, 3, 4, 5)):
        chosen = [
            (one.at_least[place], item.severity >= level)
            for one, item, seen in zip(assessed, items, shown, strict=True)
            if seen and item.is_risk
        ]
        threshold = _best_split(chosen, FAVOUR[level])
        if level == 4:
            benign = [
                one.at_least[place] if seen else 0.0
                for one, item, seen in zip(assessed, items, shown, strict=True)
                if item.kind == "hard_benign"
            ]
            threshold = max(threshold, _least_threshold(benign, HARD_SERIOUS_PER_1000))
        levels.append(round(threshold, 6))
    return levels


def _raise_together(
    thresholds: dict[Category, float], benign: Sequence[Assessment], per_1000: float
) -> dict[Category, float]:
    """All thresholds a little higher at a time until no more than ``per_1000`` of ``benign`` pass."""
    raised = dict(thresholds)
    for _ in range(400):
        passed = sum(one.nearest(raised)[1] >= 1 for one in benign)
        if not benign or 1000 * passed / len(benign) <= per_1000:
            break
        raised = {category: _expit(_logit(value) + 0.02) for category, value in raised.items()}
    return raised


def _least_threshold(benign: Sequence[float], per_1000: float) -> float:
    """The least threshold that at most ``per_1000`` in 1,000 of these scores reach; 0.05 at least, 0.98 at most."""
    ordered = sorted(benign, reverse=True)
    allowed = int(len(ordered) * per_1000 / 1000)
    if allowed >= len(ordered):
        return 0.05
    upper = ordered[allowed - 1] if allowed else 1.0
    # between the last one let through and the first one kept out, nearer to the latter: as wide a net as is allowed
    between = ordered[allowed] + 0.25 * (upper - ordered[allowed])
    return min(max(between, 0.05), 0.98)


def _best_split(chosen: Sequence[tuple[float, bool]], favour: float) -> float:
    """The threshold with the fewest mistakes, a missed true one counting ``favour``; 0 where all are true."""
    if len({truth for _, truth in chosen}) < 2:
        return 0.0 if chosen and chosen[0][1] else 0.95
    values = np.array([value for value, _ in chosen])
    truth = np.array([truth for _, truth in chosen])
    share = truth.mean()
    best, least = 0.5, float("inf")
    for threshold in np.linspace(0.05, 0.95, 91):
        missed = float((truth & (values < threshold)).sum()) / max(share, 1e-9)
        wrong = float((~truth & (values >= threshold)).sum()) / max(1 - share, 1e-9)
        cost = favour * missed + wrong
        if cost < least - 1e-9:
            best, least = float(threshold), cost
    return best


def _logistic(
    columns: np.ndarray, truth: np.ndarray, prior: np.ndarray, ridge: float, counts: np.ndarray | None = None
) -> np.ndarray:
    """Weights and offset of a logistic regression by Newton's method, drawn towards ``prior``; counts: of each row."""
    counts = np.ones(len(truth)) if counts is None else counts
    design = np.column_stack([columns, np.ones(len(columns))])
    weights = prior.astype(float).copy()
    pull = np.diag([ridge] * columns.shape[1] + [ridge * 0.1])
    for _ in range(60):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (counts * (chance - truth)) + pull @ (weights - prior)
        curvature = design.T @ (design * (counts * chance * (1 - chance))[:, None]) + pull
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if float(np.abs(step).max()) < 1e-8:
            break
    return weights


def _logit(value: float) -> float:
    value = min(max(value, 1e-4), 1 - 1e-4)
    return float(np.log(value / (1 - value)))


def _expit(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))
