"""What a scorer is worth on labelled texts: ranking, recall of serious texts, false alarms, calibration.

Shared by ``appliance evaluate`` and by the building of the model, so that both speak of the same figures.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from appliance.safeguarding.event import CategoryScores
from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.scorer import Scorer

ALARM, SERIOUS = Severity.CREDIBLE, Severity.SERIOUS
BINS = 10
"""Steps of the reliability table."""


class LabelledText(Protocol):
    """A text with what a reader made of it. severity: 1 to 5. kind: direct, indirect, hard_benign or ordinary."""

    @property
    def text(self) -> str: ...
    @property
    def category(self) -> Category: ...
    @property
    def severity(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def is_risk(self) -> bool: ...


Pairs = Sequence[tuple[LabelledText, CategoryScores]]
"""Labelled texts, each with its scores."""


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """The chance that a risk text scores above a benign one; ties count half. NaN if either is lacking."""
    values = np.asarray(scores, dtype=float)
    truth = np.asarray(labels, dtype=bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return float("nan")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def is_shown(scores: CategoryScores) -> bool:
    """Whether a category passed its threshold."""
    return scores.category is not Category.NONE


def alarmed(scores: CategoryScores, level: Severity = ALARM) -> bool:
    """Whether a text would come before a person: a category shown, at ``level`` or more."""
    return is_shown(scores) and scores.level >= level


def greatest(scores: CategoryScores) -> float:
    """The one score that the text is a risk at all, 0 to 1."""
    return max(scores.scores.values(), default=0.0)


def score_items(scorer: Scorer, items: Sequence[LabelledText]) -> list[tuple[LabelledText, CategoryScores]]:
    """Every item with its scores, one text at a time as on the box."""
    return [(item, scorer.score(item.text, with_reasons=False)) for item in items]


def measure_items(scorer: Scorer, items: Sequence[LabelledText]) -> dict[str, float]:
    """AUC, recall of level >= 4 and false alarms per 1,000."""
    return measure_pairs(score_items(scorer, items))


def measure_pairs(pairs: Pairs) -> dict[str, float]:
    """AUC, recall of level >= 4, category and level, and false alarms per 1,000."""
    result: dict[str, float] = {
        "items": len(pairs),
        "auc": auc([greatest(one) for _, one in pairs], [item.is_risk for item, _ in pairs]),
    }
    hard = [(item, one) for item, one in pairs if item.kind != "ordinary"]
    result["auc_hard"] = auc([greatest(one) for _, one in hard], [item.is_risk for item, _ in hard])
    risks = [(item, one) for item, one in pairs if item.is_risk]
    for name, kind in (("", None), ("_direct", "direct"), ("_indirect", "indirect")):
        serious = [one for item, one in risks if item.severity >= SERIOUS and kind in (None, item.kind)]
        result[f"serious{name}"] = len(serious)
        result[f"serious{name}_shown"] = share([is_shown(one) for one in serious])
        result[f"serious{name}_at_3"] = share([alarmed(one) for one in serious])
        result[f"serious{name}_at_4"] = share([alarmed(one, SERIOUS) for one in serious])
    shown = [(item, one) for item, one in risks if is_shown(one)]
    result["risk_shown"] = share([is_shown(one) for _, one in risks])
    result["risk_category_right"] = share([one.category is item.category for item, one in shown])
    result["macro_f1"] = macro_f1(pairs)
    result["level_within_one"] = share([abs(one.level - item.severity) <= 1 for item, one in shown])
    for kind in ("hard_benign", "ordinary"):
        benign = [one for item, one in pairs if item.kind == kind]
        result |= {f"{kind}_{key}": value for key, value in false_alarms(benign).items()}
    return result


def macro_f1(pairs: Pairs) -> float:
    """F1 of each category that occurs, at the thresholds, averaged evenly. NaN where no text is a risk."""
    values = []
    for category in {item.category for item, _ in pairs if item.is_risk}:
        right = sum(item.category is category and one.category is category for item, one in pairs)
        there = sum(item.category is category for item, _ in pairs)
        said = sum(one.category is category for _, one in pairs)
        values.append(2 * right / (there + said))
    return float(np.mean(values)) if values else float("nan")


def false_alarms(benign: Sequence[CategoryScores]) -> dict[str, float]:
    """Alarms per 1,000 benign texts: any category shown, at level >= 3, at level >= 4."""
    return {
        "items": len(benign),
        "shown_per_1000": 1000 * share([is_shown(one) for one in benign]),
        "at_3_per_1000": 1000 * share([alarmed(one) for one in benign]),
        "at_4_per_1000": 1000 * share([alarmed(one, SERIOUS) for one in benign]),
    }


def recall_table(pairs: Pairs, key: Callable[[Any], str]) -> dict[str, dict[str, float]]:
    """For each value of ``key`` among the risk texts: how many, shown at all, at level >= 3, in the right category."""
    grouped: dict[str, list[tuple[LabelledText, CategoryScores]]] = defaultdict(list)
    for item, one in pairs:
        if item.is_risk:
            grouped[key(item)].append((item, one))
    return {
        name: {
            "items": len(members),
            "shown": share([is_shown(one) for _, one in members]),
            "at_3": share([alarmed(one) for _, one in members]),
            "category_right": share([one.category is item.category for item, one in members if is_shown(one)]),
        }
        for name, members in sorted(grouped.items())
    }


def group_table(pairs: Pairs, key: Callable[[Any], str]) -> dict[str, dict[str, float]]:
    """For each value of ``key``: how risk texts are recalled and how benign ones alarm, side by side."""
    grouped: dict[str, list[tuple[LabelledText, CategoryScores]]] = defaultdict(list)
    for item, one in pairs:
        grouped[key(item)].append((item, one))
    table = {}
    for name, members in sorted(grouped.items()):
        risks = [(item, one) for item, one in members if item.is_risk]
        serious = [one for item, one in risks if item.severity >= SERIOUS]
        benign = [one for item, one in members if not item.is_risk]
        table[name] = {
            "risk": len(risks),
            "risk_shown": share([is_shown(one) for _, one in risks]),
            "serious": len(serious),
            "serious_shown": share([is_shown(one) for one in serious]),
            "benign": len(benign),
            "benign_shown_per_1000": 1000 * share([is_shown(one) for one in benign]),
            "benign_mean_score": float(np.mean([greatest(one) for one in benign])) if benign else float("nan"),
        }
    return table


def reliability(scores: Sequence[float], labels: Sequence[bool], bins: int = BINS) -> list[dict[str, float]]:
    """For each tenth of the scores: its edges, how many texts, their mean score, and the share that are risks."""
    values, truth = np.asarray(scores, dtype=float), np.asarray(labels, dtype=bool)
    place = np.minimum((values * bins).astype(int), bins - 1)
    return [
        {
            "from": number / bins,
            "to": (number + 1) / bins,
            "items": int((place == number).sum()),
            "mean_score": float(values[place == number].mean()),
            "risk_share": float(truth[place == number].mean()),
        }
        for number in range(bins)
        if (place == number).any()
    ]


def calibration_error(table: Sequence[dict[str, float]]) -> float:
    """Expected calibration error: by how much score and truth differ, tenth by tenth, weighted by their texts."""
    total = sum(row["items"] for row in table)
    if not total:
        return float("nan")
    return sum(row["items"] * abs(row["mean_score"] - row["risk_share"]) for row in table) / total


def share(hits: Sequence[bool]) -> float:
    """How many are true, 0 to 1. NaN of none."""
    return sum(hits) / len(hits) if hits else float("nan")
