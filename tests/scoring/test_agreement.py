"""The second labelling is compared with the first as it should be."""

import json
import math
from pathlib import Path

import pytest

from appliance.safeguarding.severity import Category
from training.agreement import by_kind, compare, disagreements, kappa, read_labels
from training.data import Item
from training.second_sample import draw_sample, text_hash


def item(text: str, category: str, severity: int) -> Item:
    kind = "ordinary" if category == "none" else "direct"
    return Item(text, Category(category), severity, kind, "chat", "11-14", None)


ITEMS = [item("one", "abuse", 4), item("two", "none", 1), item("three", "bullying", 3), item("four", "none", 1)]
LABELS = {
    text_hash("one"): (Category.ABUSE, 2),
    text_hash("two"): (Category.NONE, 1),
    text_hash("three"): (Category.HATE, 3),
    text_hash("four"): (Category.HATE, 2),
    text_hash("a text that is gone"): (Category.NONE, 1),
}


def test_kappa_is_nought_by_chance_and_one_where_all_agree() -> None:
    assert kappa([("a", "a"), ("b", "b")]) == 1.0
    assert kappa([("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]) == 0.0
    # the textbook's: 20 both yes, 15 both no, 5 and 10 apart
    pairs = [(1, 1)] * 20 + [(1, 0)] * 5 + [(0, 1)] * 10 + [(0, 0)] * 15
    assert kappa(pairs) == pytest.approx(0.4)
    assert math.isnan(kappa([])) and math.isnan(kappa([("a", "a")]))


def test_agreement_is_over_the_texts_that_have_both_labels() -> None:
    found = compare(ITEMS, LABELS)
    assert found["texts"] == 4 and found["labels_without_a_text"] == 1
    assert found["risk_or_benign_agreed"] == 0.75 and found["category_agreed"] == 0.5
    assert found["both_see_risk"] == 2 and found["severity_within_one"] == 0.5
    assert disagreements(ITEMS, LABELS)[0][0] == 1
    assert by_kind(ITEMS, LABELS) == {"direct": (2, 1.0), "ordinary": (2, 0.5)}


def test_labels_are_read_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps({"sha256": text_hash("one"), "category": "abuse", "severity": 4}) + "\n")
    assert read_labels(file) == {text_hash("one"): (Category.ABUSE, 4)}
    file.write_text(json.dumps({"sha256": "x", "category": "weather", "severity": 4}))
    with pytest.raises(ValueError, match="weather"):
        read_labels(file)


def test_the_sample_does_not_depend_on_the_order_of_the_texts() -> None:
    items = [item(f"text {n}", "none", 1) for n in range(200)]
    first, second = draw_sample(items), draw_sample(items[::-1])
    assert first == second and len(first) == 20
