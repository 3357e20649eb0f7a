"""``appliance evaluate``: scores a file of labelled texts at the shipped thresholds and says how good that is.

A line is ``{"text", "category", "severity"}``, with "kind" (direct, indirect, hard_benign, ordinary), "age_band",
"register", "dialect", "source" and "group" where there are such. Nothing is kept, and no text is printed.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, TextIO

from appliance.safeguarding.severity import CATEGORIES, Category
from appliance.scoring.measure import (
    Pairs,
    calibration_error,
    greatest,
    group_table,
    measure_pairs,
    recall_table,
    reliability,
    score_items,
)
from appliance.scoring.scorer import Scorer

GROUP_KEYS = ("group", "register", "dialect", "age_band", "source", "kind")
"""Keys by whose values the texts are compared, where a file has them."""
RISK_KINDS, BENIGN_KINDS = ("direct", "indirect"), ("hard_benign", "ordinary")
MOST_GROUPS = 40
WIDE_TEXT = 200_000
"""Characters of a text; a longer one is a mistake of the file."""


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled text. groups: the values of GROUP_KEYS that its line has."""

    text: str
    category: Category
    severity: int
    kind: str
    groups: tuple[tuple[str, str], ...] = ()

    @property
    def is_risk(self) -> bool:
        """Whether a reader found anything in it."""
        return self.category is not Category.NONE


def read_cases(lines: Iterable[str]) -> tuple[list[Case], list[str]]:
    """The cases of a file, and a sentence with the line's number for each line that is none. Never quotes a text."""
    cases: list[Case] = []
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            cases.append(_case(json.loads(line)))
        except RecursionError:
            faults.append(f"line {number}: not a line of JSON")
        except ValueError as error:
            what = "not a line of JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            faults.append(f"line {number}: {what}")
    return cases, faults


def _case(fields: Any) -> Case:
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    text, severity = fields.get("text"), fields.get("severity", 1)
    if not isinstance(text, str) or not text.strip() or len(text) > WIDE_TEXT:
        raise ValueError("text is missing, empty or far too long")
    try:
        category = Category(fields.get("category") or "none")
    except ValueError:
        raise ValueError("category is none that there is") from None
    if isinstance(severity, bool) or not isinstance(severity, int) or not 1 <= severity <= 5:
        raise ValueError("severity is not 1 to 5")
    kind = fields.get("kind", "direct" if category is not Category.NONE else "ordinary")
    if kind not in (BENIGN_KINDS if category is Category.NONE else RISK_KINDS):
        raise ValueError("kind does not go with the category")
    groups = tuple(
        (key, str(fields[key])[:60]) for key in GROUP_KEYS if isinstance(fields.get(key), str | int) and fields[key]
    )
    return Case(text, category, severity if category is not Category.NONE else 1, kind, groups)


def evaluate_cases(scorer: Scorer, cases: list[Case], faults: list[str]) -> dict[str, Any]:
    """Every measure of the file, as plain values for JSON; what can't be measured is None."""
    pairs: Pairs = score_items(scorer, cases)
    scores, labels = [greatest(one) for _, one in pairs], [item.is_risk for item, _ in pairs]
    table = reliability(scores, labels)
    groups = {}
    for key in GROUP_KEYS:
        of_key = [(item, one) for item, one in pairs if key in dict(item.groups)]  # type: ignore[attr-defined]
        found = group_table(of_key, lambda item, key=key: dict(item.groups)[key])
        if 1 < len(found) <= MOST_GROUPS:
            groups[key] = found
    return _plain(
        {
            "model": scorer.name,
            "texts": len(cases),
            "bad_lines": faults,
            "measures": measure_pairs(pairs),
            "recall_by_category": recall_table(pairs, lambda item: item.category.value),
            "recall_by_level": recall_table(pairs, lambda item: str(item.severity)),
            "calibration_error": calibration_error(table),
            "reliability": table,
            "by": groups,
        }
    )


def print_report(report: dict[str, Any], out: TextIO) -> None:
    """The report as text of at most 100 columns."""
    measures = report["measures"]
    print(f"{report['texts']} texts scored by {report['model']}", file=out)
    if report["bad_lines"]:
        print(f"{len(report['bad_lines'])} lines were left out:", file=out)
        for fault in report["bad_lines"][:20]:
            print(f"  {fault}", file=out)
    print("\nRanking, risk above benign (AUC)", _number(measures["auc"]), file=out)
    print("The same against hard benign alone", _number(measures["auc_hard"]), file=out)
    for name, words in (("", "Level 4 and 5"), ("_direct", "  direct"), ("_indirect", "  indirect")):
        shown, graded = (_number(measures[f"serious{name}_{key}"]) for key in ("shown", "at_3"))
        print(f"{words:34} {measures[f'serious{name}']:6} texts, recall {shown}, at level 3 or more {graded}", file=out)
    print(f"Macro-F1 over categories           {_number(measures['macro_f1'])}", file=out)
    print(f"Level within one                   {_number(measures['level_within_one'])}", file=out)
    for kind, words in (("hard_benign", "hard benign"), ("ordinary", "ordinary")):
        rates = [_number(measures[f"{kind}_{key}_per_1000"], 1) for key in ("shown", "at_3", "at_4")]
        print(
            f"False alarms per 1,000 {words:12} {rates[0]} shown, {rates[1]} at level 3, {rates[2]} at level 4"
            f" or more ({measures[f'{kind}_items']} texts)",
            file=out,
        )
    for key, words in (("recall_by_category", "category"), ("recall_by_level", "level")):
        print(f"\n{'Recall by ' + words:34}  texts   shown  level≥3  right category", file=out)
        for name, row in report[key].items():
            title = CATEGORIES[Category(name)].title if words == "category" else f"level {name}"
            print(f"  {title:32} {row['items']:6}  {_number(row['shown'])}    {_number(row['at_3'])}"
                  f"  {_number(row['category_right'])}", file=out)  # fmt: skip
    print(f"\nCalibration error (ECE)            {_number(report['calibration_error'])}", file=out)
    print("  score         texts   mean score   share of risk", file=out)
    for row in report["reliability"]:
        print(f"  {row['from']:.1f} to {row['to']:.1f}  {row['items']:8}   {row['mean_score']:.3f}        "
              f"{row['risk_share']:.3f}", file=out)  # fmt: skip
    for key, rows in report["by"].items():
        print(f"\n{'By ' + key:22}  risk  shown   serious  shown   benign  per 1,000  mean score", file=out)
        for name, row in rows.items():
            print(
                f"  {name:20} {row['risk']:5}  {_number(row['risk_shown'])}  {row['serious']:7}"
                f"  {_number(row['serious_shown'])}  {row['benign']:7}"
                f"  {_number(row['benign_shown_per_1000'], 1):>9}  {_number(row['benign_mean_score'])}",
                file=out,
            )


def draw_reliability(report: dict[str, Any]) -> str:
    """The reliability plot as SVG: the mean score of each tenth against its share of risks, and how many texts."""
    size, edge = 320, 44
    rows = report["reliability"]
    most = max((row["items"] for row in rows), default=1)

    def x(value: float) -> float:
        return round(edge + value * size, 1)

    def y(value: float) -> float:
        return round(edge / 2 + (1 - value) * size, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size + 2 * edge} {size + 2 * edge}" role="img"'
        ' font-family="sans-serif" font-size="11">',
        f"<title>Reliability of {escape(report['model'])}: calibration error {_number(report['calibration_error'])}"
        "</title>",
        f'<rect x="{x(0)}" y="{y(1)}" width="{size}" height="{size}" fill="none" stroke="#888"/>',
        f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#888" stroke-dasharray="4 4"/>',
    ]
    for row in rows:
        height = round(0.25 * size * math.sqrt(row["items"] / most), 1)
        left, width = x(row["from"]), round(size / len(range(10)) - 2, 1)
        parts.append(
            f'<rect x="{left + 1}" y="{round(y(0) - height, 1)}" width="{width}" height="{height}" fill="#cdd7e1"/>'
        )
    points = " ".join(f"{x(row['mean_score'])},{y(row['risk_share'])}" for row in rows)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1d4e7a" stroke-width="2"/>')
    parts += [
        f'<circle cx="{x(row["mean_score"])}" cy="{y(row["risk_share"])}" r="4" fill="#1d4e7a">'
        f"<title>{row['items']} texts</title></circle>"
        for row in rows
    ]
    for step in range(0, 11, 2):
        parts.append(f'<text x="{x(step / 10)}" y="{y(0) + 16}" text-anchor="middle">{step / 10:.1f}</text>')
        parts.append(f'<text x="{x(0) - 8}" y="{y(step / 10) + 4}" text-anchor="end">{step / 10:.1f}</text>')
    parts.append(f'<text x="{x(0.5)}" y="{y(0) + 34}" text-anchor="middle">score</text>')
    parts.append(f'<text x="12" y="{y(0.5)}" transform="rotate(-90 12 {y(0.5)})" text-anchor="middle">risks</text>')
    return "\n".join([*parts, "</svg>\n"])


def evaluate_file(file: Path, scorer: Scorer, out: TextIO, *, as_json: bool = False, plot: Path | None = None) -> int:
    """Evaluate ``file``, print the report, write the plot where asked. 0, 1 if lines were bad, 2 if none was good.

    Raises OSError when the file can't be read or the plot not written.
    """
    with file.open(encoding="utf-8", errors="replace") as lines:
        cases, faults = read_cases(lines)
    if not cases:
        print(f"{file.name} has no line that can be scored.", *faults[:20], sep="\n  ", file=out)
        return 2
    report = evaluate_cases(scorer, cases, faults)
    if plot is not None:
        plot.write_text(draw_reliability(report), encoding="utf-8")
    if as_json:
        json.dump(report, out, ensure_ascii=False, indent=1)
        out.write("\n")
    else:
        print_report(report, out)
    return 1 if faults else 0


def _number(value: float | None, places: int = 3) -> str:
    return f"{value:.{places}f}" if value is not None else "  –  "


def _plain(value: Any) -> Any:
    """The same with rounded numbers, and None for what is not a number: JSON has no word for that."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value
