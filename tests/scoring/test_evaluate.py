"""``appliance evaluate``: what it measures, what it says of bad lines, and that it prints no text."""

import io
import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from appliance.safeguarding.event import CategoryScores
from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.evaluate import Case, draw_reliability, evaluate_cases, evaluate_file, read_cases
from appliance.scoring.measure import (
    auc,
    calibration_error,
    group_table,
    macro_f1,
    measure_pairs,
    recall_table,
    reliability,
)
from appliance.scoring.scorer import Scorer

RISK = {"text": "my stepdad hit me again last night and im scared to go home", "category": "abuse", "severity": 4}
BENIGN = {"text": "the bus was late again", "category": "none", "severity": 1}


def case(category: str, severity: int, kind: str, **groups: str) -> Case:
    return Case("words", Category(category), severity, kind, tuple(groups.items()))


def said(category: str, level: int, score: float) -> CategoryScores:
    return CategoryScores(Category(category), Severity(level), {Category.ABUSE: score}, (), "test 1", 0.5)


PAIRS = [
    (case("abuse", 5, "direct", group="a"), said("abuse", 5, 0.95)),
    (case("abuse", 4, "indirect", group="a"), said("self_harm", 3, 0.85)),
    (case("abuse", 4, "indirect", group="b"), said("none", 1, 0.25)),
    (case("self_harm", 2, "direct", group="b"), said("self_harm", 2, 0.75)),
    (case("none", 1, "hard_benign", group="a"), said("abuse", 4, 0.65)),
    (case("none", 1, "hard_benign", group="b"), said("none", 1, 0.15)),
    (case("none", 1, "ordinary", group="b"), said("none", 1, 0.05)),
    (case("none", 1, "ordinary", group="b"), said("none", 1, 0.05)),
]


def test_recall_alarms_and_levels_are_what_they_are_by_hand() -> None:
    measures = measure_pairs(PAIRS)
    assert measures["serious"] == 3
    assert measures["serious_shown"] == pytest.approx(2 / 3)
    assert measures["serious_at_4"] == pytest.approx(1 / 3)
    assert measures["serious_indirect_shown"] == 0.5
    assert measures["risk_shown"] == 0.75
    assert measures["risk_category_right"] == pytest.approx(2 / 3)
    assert measures["level_within_one"] == 1.0
    assert measures["hard_benign_at_4_per_1000"] == 500 and measures["ordinary_shown_per_1000"] == 0
    # abuse: one right of three there and two said; self-harm: one right of one there and two said
    assert measures["macro_f1"] == pytest.approx((2 * 1 / 5 + 2 * 1 / 3) / 2)


def test_recall_by_category_and_by_group() -> None:
    assert recall_table(PAIRS, lambda item: item.category.value)["abuse"] == {
        "items": 3,
        "shown": pytest.approx(2 / 3),
        "at_3": pytest.approx(2 / 3),
        "category_right": 0.5,
    }
    groups = group_table(PAIRS, lambda item: dict(item.groups)["group"])
    assert groups["a"]["serious_shown"] == 1.0 and groups["b"]["serious_shown"] == 0.0
    assert groups["a"]["benign_shown_per_1000"] == 1000 and groups["b"]["benign_shown_per_1000"] == 0


def test_calibration_is_right_where_scores_say_what_is_true() -> None:
    honest = reliability([0.25] * 4 + [0.75] * 4, [True, False, False, False, True, True, True, False])
    assert calibration_error(honest) == pytest.approx(0)
    boasting = reliability([0.95] * 10, [True] * 5 + [False] * 5)
    assert calibration_error(boasting) == pytest.approx(0.45)
    assert [row["items"] for row in reliability([0.0, 1.0], [False, True])] == [1, 1]
    assert math.isnan(calibration_error([]))


def test_auc_counts_ties_half_and_is_no_number_where_a_side_is_lacking() -> None:
    assert auc([0.1, 0.9], [False, True]) == 1.0
    assert auc([0.5, 0.5], [False, True]) == 0.5
    assert math.isnan(auc([0.5], [True])) and math.isnan(macro_f1(PAIRS[4:]))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "not a line of JSON"),
        ("[1]", "not a JSON object"),
        ('{"category": "abuse"}', "text is missing"),
        ('{"text": "   "}', "text is missing"),
        ('{"text": 7}', "text is missing"),
        ('{"text": "secret words", "category": "weather"}', "category"),
        ('{"text": "secret words", "category": "abuse", "severity": 9}', "severity"),
        ('{"text": "secret words", "category": "abuse", "severity": true}', "severity"),
        ('{"text": "secret words", "category": "none", "kind": "direct"}', "kind"),
        ("[" * 100_000, "not a line of JSON"),
    ],
)
def test_a_bad_line_is_told_by_number_and_never_quoted(line: str, fault: str) -> None:
    cases, faults = read_cases([json.dumps(BENIGN), "", line, json.dumps(RISK)])
    assert len(cases) == 2
    assert len(faults) == 1 and faults[0].startswith("line 3: ") and fault in faults[0]
    assert "secret" not in faults[0]


def test_a_file_is_evaluated_as_text_and_as_json_and_drawn(scorer: Scorer, tmp_path: Path) -> None:
    file, plot = tmp_path / "cases.jsonl", tmp_path / "plot.svg"
    rows = [
        {**RISK, "dialect": "wel"},
        {**BENIGN, "dialect": "wel"},
        {**BENIGN, "text": "lunch at one", "dialect": "n"},
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    out = io.StringIO()
    assert evaluate_file(file, scorer, out, as_json=True, plot=plot) == 0
    report = json.loads(out.getvalue())
    assert report["texts"] == 3 and report["model"] == scorer.name
    assert report["measures"]["serious_shown"] == 1.0
    assert report["measures"]["serious_indirect_shown"] is None
    assert set(report["by"]["dialect"]) == {"wel", "n"} and "source" not in report["by"]
    assert ET.fromstring(plot.read_text()).tag.endswith("svg")
    out = io.StringIO()
    assert evaluate_file(file, scorer, out) == 0
    assert "Abuse or neglect" in out.getvalue() and "per 1,000" in out.getvalue()
    for row in rows:
        assert row["text"] not in out.getvalue() + json.dumps(report) + plot.read_text()


def test_bad_lines_make_the_exit_code_and_a_file_without_good_ones_is_told(scorer: Scorer, tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_bytes(json.dumps(BENIGN).encode() + b"\n\xff\xfe\n")
    out = io.StringIO()
    assert evaluate_file(file, scorer, out) == 1
    assert "line 2: not a line of JSON" in out.getvalue()
    file.write_text("{}\n")
    assert evaluate_file(file, scorer, out) == 2


def test_drawing_takes_a_name_with_signs(scorer: Scorer) -> None:
    cases, faults = read_cases([json.dumps(BENIGN)])
    report = {**evaluate_cases(scorer, cases, faults), "model": "<a & b>"}
    assert "<a & b>" in "".join(ET.fromstring(draw_reliability(report)).itertext())
