"""Scoring JSON lines."""

import io
import json
from typing import Any

from appliance.safeguarding.severity import CATEGORIES
from appliance.scoring.command import score_lines
from appliance.scoring.scorer import Scorer


def run(scorer: Scorer, *lines: str, with_reasons: bool = True) -> tuple[int, list[dict[str, Any]]]:
    out = io.StringIO()
    code = score_lines(lines, scorer, out, with_reasons=with_reasons)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def test_answers_come_in_the_order_of_the_lines(scorer: Scorer) -> None:
    code, answers = run(
        scorer, '{"id": "b", "text": "pe was fun"}\n', '{"id": 7, "text": "my dad hit me again and im scared"}\n', "\n"
    )
    assert code == 0
    assert [answer["id"] for answer in answers] == ["b", 7]
    assert answers[0]["category"] == "none" and answers[0]["level"] == 1
    assert answers[1]["category"] == "abuse" and answers[1]["level"] >= 4


def test_an_answer_has_every_category_and_its_reasons(scorer: Scorer) -> None:
    _, (answer,) = run(scorer, '{"id": "a", "text": "my dad hit me again last night"}')
    assert set(answer["scores"]) == {category.value for category in CATEGORIES} - {"none"}
    assert all(0 <= score <= 1 for score in answer["scores"].values())
    assert {reason["kind"] for reason in answer["reasons"]} == {"words", "phrase"}
    assert set(answer["reasons"][0]) == {"kind", "text", "category", "weight"}


def test_reasons_can_be_left_out_and_scores_stay(scorer: Scorer) -> None:
    line = '{"id": "a", "text": "my dad hit me again last night"}'
    _, (whole,) = run(scorer, line)
    _, (short,) = run(scorer, line, with_reasons=False)
    assert short["reasons"] == []
    assert short["scores"] == whole["scores"] and short["level"] == whole["level"]


def test_a_bad_line_is_told_and_the_rest_is_still_scored(scorer: Scorer) -> None:
    bad = ["not json", "[1]", '{"text": "no id"}', '{"id": "x"}', '{"id": "y", "text": 5}', '{"id": true, "text": ""}']
    code, answers = run(scorer, *bad, '{"id": "z", "text": "what is for lunch"}')
    assert code == 1
    assert [answer["id"] for answer in answers] == [None, None, None, "x", "y", None, "z"]
    assert all("error" in answer for answer in answers[:-1])
    assert answers[-1]["category"] == "none"


def test_an_error_never_quotes_the_text(scorer: Scorer) -> None:
    _, (answer,) = run(scorer, '{"id": "a", "text": ["a private thought"]}')
    assert "private" not in json.dumps(answer)


def test_no_lines_is_no_error(scorer: Scorer) -> None:
    assert run(scorer) == (0, [])
