"""Texts scored in a second on one thread, beside onnxruntime alone running the same model on ready token ids."""

import time
from collections.abc import Callable
from itertools import cycle, islice

import numpy as np

from appliance.scoring.model import MODEL_FOLDER, ScoringModel, _open_session
from appliance.scoring.scorer import Scorer
from tests.ocr.pages import CONCERNS, PLAIN

TEXTS, WITH_REASONS, EVENTS, SCREEN_LINES = 120, 20, 4, 40
ROUNDS = 3


def measure() -> list[dict[str, object]]:
    """Texts a second without and with reasons, and whole events a second, each beside the bare runtime."""
    model, scorer = ScoringModel(), Scorer()
    texts = list(islice(cycle([*PLAIN, *CONCERNS]), TEXTS))
    screen = "\n".join(texts[:SCREEN_LINES])
    session = _open_session(MODEL_FOLDER / "model.onnx")
    ready = [np.array([model._tokenizer.encode(model.normalise(text)).ids], dtype=np.int64) for text in texts]
    outputs = ["category", "severity", "risk"]

    def bare() -> None:
        for ids in ready:
            session.run(outputs, {"input_ids": ids})

    def without_reasons() -> None:
        for text in texts:
            scorer.score(text, with_reasons=False)

    def with_reasons() -> None:
        for text in texts[-WITH_REASONS:]:
            scorer.score(text)

    def events() -> None:
        for text in texts[:EVENTS]:
            scorer.score_event(text, texts[:3], screen)

    rate = len(texts) / _best(bare)
    peer = "bare onnxruntime, same texts, one thread"
    return [
        {"name": name, "value": value, "unit": "/s", "peer": peer, "peer_value": rate}
        for name, value in (
            ("scoring: texts", len(texts) / _best(without_reasons)),
            ("scoring: texts with reasons", WITH_REASONS / _best(with_reasons)),
            (f"scoring: events with a screen of {SCREEN_LINES} lines", EVENTS / _best(events)),
        )
    ]


def _best(work: Callable[[], None]) -> float:
    """CPU seconds of the quickest of some rounds: others on the machine only ever slow one down."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)
