"""What was found in a capture's picture, beside its words, and what that does to an event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.safeguarding.event import CategoryScores, Reason
from appliance.safeguarding.severity import Category, Severity

IMAGE = "image"
"""The kind of Reason that a finding in the picture leaves."""


@dataclass(frozen=True, slots=True)
class ImageFinding:
    """One thing found in a picture. score: 0 to 1. said: one sentence for a moderator. model: what found it."""

    category: Category
    level: Severity
    score: float
    threshold: float
    said: str
    model: str


def with_findings(scores: CategoryScores, findings: Sequence[ImageFinding]) -> CategoryScores:
    """The scores with what was found in the picture; it never lowers what the words alone are.

    The gravest finding decides category, level and threshold where it is graver than the words.
    """
    if not findings:
        return scores
    both = dict(scores.scores)
    for one in findings:
        both[one.category] = max(both.get(one.category, 0.0), one.score)
    reasons = tuple(Reason(IMAGE, one.said, one.category, round(one.score, 4)) for one in findings)
    models = dict.fromkeys([scores.model, *(one.model for one in findings)])
    changed = replace(scores, scores=both, reasons=(*scores.reasons, *reasons), model=", ".join(models))
    gravest = max(findings, key=lambda one: (one.level, one.score))
    if scores.category is not Category.NONE and scores.level >= gravest.level:
        return changed
    return replace(changed, category=gravest.category, level=gravest.level, threshold=gravest.threshold)
