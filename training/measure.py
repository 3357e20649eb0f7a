"""What a model is worth: ranking, recall of serious texts, and false alarms, on texts it was not trained on."""

import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from appliance.safeguarding.event import CategoryScores
from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.scorer import Scorer
from training.data import Item

ALARM, SERIOUS = Severity.CREDIBLE, Severity.SERIOUS
PUBLIC_SAMPLE = 1500
"""Texts taken from each public set, evenly spread: enough for a rate to one in a thousand or so."""


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


def alarmed(scores: CategoryScores, level: Severity = ALARM) -> bool:
    """Whether a text would come before a person: a category shown, at ``level`` or more."""
    return scores.category is not Category.NONE and scores.level >= level


def measure_items(scorer: Scorer, items: Sequence[Item]) -> dict[str, float]:
    """AUC, recall of level >= 4 and false alarms per 1,000, on our own items."""
    scored = [scorer.score(item.text, with_reasons=False) for item in items]
    pairs = list(zip(items, scored, strict=True))
    greatest = [max(one.scores.values()) for one in scored]
    result: dict[str, float] = {"items": len(items), "auc": auc(greatest, [item.is_risk for item in items])}
    hard = [item.kind != "ordinary" for item in items]
    result["auc_hard"] = auc(
        [g for g, keep in zip(greatest, hard, strict=True) if keep],
        [item.is_risk for item, keep in zip(items, hard, strict=True) if keep],
    )
    for name, kinds in (("", ("direct", "indirect")), ("_direct", ("direct",)), ("_indirect", ("indirect",))):
        serious = [one for item, one in pairs if item.kind in kinds and item.severity >= SERIOUS]
        result[f"serious{name}"] = len(serious)
        result[f"serious{name}_shown"] = _share([one.category is not Category.NONE for one in serious])
        result[f"serious{name}_at_3"] = _share([alarmed(one) for one in serious])
        result[f"serious{name}_at_4"] = _share([alarmed(one, SERIOUS) for one in serious])
    risks = [(item, one) for item, one in pairs if item.is_risk]
    result["risk_shown"] = _share([one.category is not Category.NONE for _, one in risks])
    result["risk_category_right"] = _share(
        [one.category is item.category for item, one in risks if one.category is not Category.NONE]
    )
    result["level_within_one"] = _share(
        [abs(one.level - item.severity) <= 1 for item, one in risks if one.category is not Category.NONE]
    )
    for kind in ("hard_benign", "ordinary"):
        benign = [one for item, one in pairs if item.kind == kind]
        result |= {f"{kind}_{key}": value for key, value in false_alarms(benign).items()}
    return result


def false_alarms(benign: Sequence[CategoryScores]) -> dict[str, float]:
    """Alarms per 1,000 benign texts: any category shown, at level >= 3, at level >= 4."""
    return {
        "items": len(benign),
        "shown_per_1000": 1000 * _share([one.category is not Category.NONE for one in benign]),
        "at_3_per_1000": 1000 * _share([alarmed(one) for one in benign]),
        "at_4_per_1000": 1000 * _share([alarmed(one, SERIOUS) for one in benign]),
    }


def measure_public(scorer: Scorer, folder: Path, sample: int = PUBLIC_SAMPLE) -> dict[str, dict[str, float]]:
    """False alarms on the public sets in ``folder``, a set and in all, ordinary and hard benign apart.

    The sets are adult and mostly American: a measure of noise, not of what a school would see.
    """
    result: dict[str, dict[str, float]] = {}
    together: dict[str, list[CategoryScores]] = defaultdict(list)
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            benign = [item for item in map(json.loads, lines) if item["label"] == "benign"]
        for hard in (False, True):
            texts = [item["text"] for item in benign if bool(item.get("hard")) is hard]
            step = max(1, len(texts) // sample)
            scored = [scorer.score(text, with_reasons=False) for text in texts[::step][:sample]]
            if scored:
                kind = "hard" if hard else "ordinary"
                result[f"{file.name.split('.')[0]} {kind}"] = false_alarms(scored)
                together[kind] += scored
    for kind, scored in together.items():
        result[f"all {kind}"] = false_alarms(scored)
    return result


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else float("nan")
