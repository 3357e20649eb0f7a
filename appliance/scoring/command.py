"""Scores JSON lines: one ``{"id", "text"}`` a line in, one line of scores out, in the same order."""

import json
from collections.abc import Iterable
from typing import Any, TextIO

from appliance.safeguarding.event import CategoryScores
from appliance.scoring.scorer import Scorer


def score_lines(lines: Iterable[str], scorer: Scorer, out: TextIO, *, with_reasons: bool = True) -> int:
    """Score every line of ``lines`` and write a line to ``out`` for each; empty lines are passed over.

    A line that can't be scored gives ``{"id", "error"}`` and the rest is still scored. Returns the exit code: 0, or 1
    if any line was bad.
    """
    bad = 0
    for line in lines:
        if not line.strip():
            continue
        identifier, text, error = _parse_line(line)
        if error:
            bad += 1
            answer: dict[str, Any] = {"id": identifier, "error": error}
        else:
            answer = {"id": identifier, **_answer(scorer.score(text, with_reasons=with_reasons))}
        out.write(json.dumps(answer, ensure_ascii=False) + "\n")
    return 1 if bad else 0


def _parse_line(line: str) -> tuple[Any, str, str]:
    """A line's id, text and what is wrong with it (empty if nothing is). Never quotes the text."""
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return None, "", "not a line of JSON"
    if not isinstance(item, dict):
        return None, "", "not a JSON object"
    identifier = item.get("id")
    if not isinstance(identifier, str | int) or isinstance(identifier, bool):
        return None, "", "id is missing, or not a word or a whole number"
    if not isinstance(item.get("text"), str):
        return identifier, "", "text is missing, or not a string"
    return identifier, item["text"], ""


def _answer(scores: CategoryScores) -> dict[str, Any]:
    return {
        "category": scores.category.value,
        "level": int(scores.level),
        "scores": {category.value: round(score, 6) for category, score in scores.scores.items()},
        "reasons": [
            {"kind": r.kind, "text": r.text, "category": r.category.value, "weight": r.weight} for r in scores.reasons
        ],
    }
