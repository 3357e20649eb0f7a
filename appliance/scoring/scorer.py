"""Scores a text, or what an event holds of text, for every category, with a level and the words that moved it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.safeguarding.event import CategoryScores, Reason
from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.lexicon import Lexicon, Phrase
from appliance.scoring.model import MAX_PIECES, Assessment, ScoringModel
from appliance.scoring.windows import TYPED, WEIGHTS, Window, event_windows, split_text

MAX_WORDS = 24
"""Most words, or runs of words, that are left out in turn to find what moved the score."""
MAX_WORD_REASONS = 6
LEAST_WEIGHT = 0.03
LEXICON_LIFT = 0.5
"""A phrase of the lexicon lifts a score that is at least this share of its threshold up to the threshold."""
CEILING_ALONE, CEILING_AGREED = Severity.CREDIBLE, Severity.SERIOUS
"""Highest level a phrase may give a text: where only the phrase shows it, and where the model shows it too."""


@dataclass(frozen=True, slots=True)
class _Scored:
    """One window with what the model and the lexicon make of it.

    nearest: the category that came nearest to its threshold, or passed it; share: how near, 1 and more being past it.
    """

    window: Window
    assessment: Assessment
    phrases: tuple[Phrase, ...]
    nearest: Category
    share: float
    level: Severity

    @property
    def is_shown(self) -> bool:
        """Whether any category passed its threshold here."""
        return self.share >= 1


class Scorer:
    """The model, warm. The same text gets the same scores alone, in any company and on any thread."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load the model of ``folder``, or the one that ships. Raises ModelFileError, saying what is wrong with it."""
        self._model = ScoringModel(folder)
        self._lexicon = Lexicon()

    @property
    def name(self) -> str:
        """The model's name and version, as it is stored beside every score."""
        return self._model.name

    def score(self, text: str, *, with_reasons: bool = True) -> CategoryScores:
        """Scores for one text of any length. with_reasons: also look for the words that moved it (costs more)."""
        parts = split_text(text, self._count_pieces, MAX_PIECES - 2) if text.strip() else []
        return self._score_windows([Window(TYPED, part) for part in parts], with_reasons, name_place=False)

    def score_event(self, typed: str, context: Sequence[str], reading_text: str) -> CategoryScores:
        """Scores for an event: what was typed, the same with what was typed before, and the text on screen.

        context: earlier typed lines, oldest first. reading_text: the capture's text, one screen line a text line.
        """
        windows = event_windows(typed, context, reading_text, self._count_pieces, MAX_PIECES - 2)
        return self._score_windows(windows, with_reasons=True, name_place=True)

    def _count_pieces(self, text: str) -> int:
        return self._model.count_pieces(self._model.normalise(text))

    def _score_windows(self, windows: list[Window], with_reasons: bool, name_place: bool) -> CategoryScores:
        """The greatest weighted score a category; category and level from the window that is most serious."""
        scored = [self._score_window(window) for window in windows]
        scores = {
            category: max((one.assessment.scores[category] for one in scored), default=0.0)
            for category in self._model.categories
        }
        if not scored:
            return CategoryScores(Category.NONE, Severity.NOISE, scores, (), self.name, 1.0)
        deciding = max(scored, key=lambda one: (one.is_shown, one.level, one.share))
        reasons: tuple[Reason, ...] = ()
        if with_reasons and deciding.share >= LEXICON_LIFT:
            reasons = self._reasons(deciding, name_place)
        return CategoryScores(
            category=deciding.nearest if deciding.is_shown else Category.NONE,
            level=deciding.level,
            scores=scores,
            reasons=reasons,
            model=self.name,
            threshold=self._model.thresholds[deciding.nearest],
        )

    def _score_window(self, window: Window) -> _Scored:
        """The model first; then the lexicon, which lifts what is near its threshold and may raise the level."""
        normalised = self._model.normalise(window.text)
        assessment = self._model.assess(normalised).weighted(WEIGHTS[window.place])
        phrases = self._lexicon.find(normalised)
        nearest, share = assessment.nearest(self._model.thresholds)
        strongest = max(phrases, key=lambda phrase: phrase.level, default=None)
        if share >= 1 or (strongest is not None and share >= LEXICON_LIFT):
            level = self._model.level(assessment.at_least) if share >= 1 else Severity.NOISE
            if strongest is not None:
                level = max(level, min(strongest.level, CEILING_AGREED if share >= 1 else CEILING_ALONE))
            if strongest is not None and share < 1:
                nearest, share = strongest.category, 1.0
                threshold = self._model.thresholds[nearest]
                assessment = Assessment({**assessment.scores, nearest: threshold}, assessment.at_least)
            return _Scored(window, assessment, phrases, nearest, share, level)
        return _Scored(window, assessment, phrases, nearest, share, Severity.NOISE)

    def _reasons(self, one: _Scored, name_place: bool) -> tuple[Reason, ...]:
        """Why: the phrases found, the words whose absence changes the score most, and where the text stood."""
        reasons = [
            Reason("phrase", phrase.text, phrase.category, round(one.assessment.scores[phrase.category], 4))
            for phrase in one.phrases
        ]
        reasons += self._word_reasons(one)
        if name_place:
            weight = round(one.assessment.scores[one.nearest], 4)
            reasons.append(Reason("rule", f"Found in the {one.window.place}", one.nearest, weight))
        return tuple(reasons)

    def _word_reasons(self, one: _Scored) -> list[Reason]:
        """Leave one word out in turn (or one run of words, in a long window) and see how far the score moves.

        Measured in log-odds, brought to -1..1: near certainty no single word moves the score itself, and it is there
        that a DSL most wants to see what was read.
        """
        words, category = one.window.text.split(), one.nearest
        if len(words) < 2:
            return [Reason("words", words[0], category, round(one.assessment.scores[category], 4))] if words else []
        weight = WEIGHTS[one.window.place]
        whole = self._model.assess(self._model.normalise(one.window.text)).weighted(weight).scores[category]
        length = -(-len(words) // MAX_WORDS)
        found: list[Reason] = []
        for start in range(0, len(words), length):
            rest = self._model.normalise(" ".join(words[:start] + words[start + length :]))
            left = self._model.assess(rest).weighted(weight).scores[category]
            change = math.tanh((_log_odds(whole) - _log_odds(left)) / 2)
            if abs(change) >= LEAST_WEIGHT:
                found.append(Reason("words", " ".join(words[start : start + length]), category, round(change, 4)))
        found.sort(key=lambda reason: -abs(reason.weight))
        return found[:MAX_WORD_REASONS]


def _log_odds(score: float) -> float:
    score = min(max(score, 1e-6), 1 - 1e-6)
    return math.log(score / (1 - score))
