"""What a model is worth on the public sets, beside the measures that the box itself uses on any labelled file."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

from appliance.safeguarding.event import CategoryScores
from appliance.scoring.measure import auc, false_alarms, measure_items
from appliance.scoring.scorer import Scorer

__all__ = ["auc", "false_alarms", "measure_items", "measure_public"]

PUBLIC_SAMPLE = 1500
"""Texts taken from each public set, evenly spread: enough for a rate to one in a thousand or so."""


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
