"""How far two readers agree on the labels: ``python -m training.agreement`` compares a second, blind labelling.

``data/second_labels.jsonl`` holds a tenth, by the text's sha256: category and severity as a second reader gave them who
saw the text alone, without label, kind, age or pair.
"""

import argparse
import json
from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

from appliance.safeguarding.severity import Category
from training.data import Item, read_items
from training.second_sample import DATA_FOLDER, text_hash

Label = tuple[Category, int]
"""A category and a severity of 1 to 5."""


def read_labels(file: Path) -> dict[str, Label]:
    """The second labels by text hash. Raises ValueError or KeyError for a line that isn't one."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {row["sha256"]: (Category(row["category"]), int(row["severity"])) for row in rows}


def kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float:
    """Cohen's kappa: agreement beyond what chance gives, 1 where all agree. NaN where chance explains everything."""
    if not pairs:
        return float("nan")
    first, second = Counter(one for one, _ in pairs), Counter(two for _, two in pairs)
    agreed = sum(one == two for one, two in pairs) / len(pairs)
    chance = sum(first[label] * second[label] for label in first) / len(pairs) ** 2
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")


def compare(items: Sequence[Item], labels: dict[str, Label]) -> dict[str, float]:
    """Agreement of the items' own labels with the second ones, over the texts that have both."""
    both = [(item, labels[key]) for item in items if (key := text_hash(item.text)) in labels]
    risks = [(item, label) for item, label in both if item.is_risk and label[0] is not Category.NONE]
    serious = [(item.is_risk and item.severity >= 4, label[1] >= 4) for item, label in both]
    return {
        "texts": len(both),
        "labels_without_a_text": len(labels) - len(both),
        "risk_or_benign_agreed": _share([item.is_risk == (label[0] is not Category.NONE) for item, label in both]),
        "risk_or_benign_kappa": kappa([(item.is_risk, label[0] is not Category.NONE) for item, label in both]),
        "category_agreed": _share([item.category is label[0] for item, label in both]),
        "category_kappa": kappa([(item.category, label[0]) for item, label in both]),
        "category_kappa_where_both_see_risk": kappa([(item.category, label[0]) for item, label in risks]),
        "both_see_risk": len(risks),
        "severity_within_one": _share([abs(item.severity - label[1]) <= 1 for item, label in risks]),
        "severity_same": _share([item.severity == label[1] for item, label in risks]),
        "level_4_or_more_kappa": kappa(serious),
    }


def disagreements(items: Sequence[Item], labels: dict[str, Label]) -> list[tuple[int, str, str]]:
    """How often each pair of categories, first and second reader's, was chosen apart; the most often first."""
    apart = Counter(
        (item.category.value, labels[key][0].value)
        for item in items
        if (key := text_hash(item.text)) in labels and labels[key][0] is not item.category
    )
    return [(count, first, second) for (first, second), count in apart.most_common()]


def by_kind(items: Sequence[Item], labels: dict[str, Label]) -> dict[str, tuple[int, float]]:
    """For each kind of text, how many there are and on which share both readers see the same, risk or benign."""
    seen: dict[str, list[bool]] = {}
    for item in items:
        if (label := labels.get(text_hash(item.text))) is not None:
            seen.setdefault(item.kind, []).append(item.is_risk == (label[0] is not Category.NONE))
    return {kind: (len(agreed), _share(agreed)) for kind, agreed in sorted(seen.items())}


def main() -> int:
    """Print the agreement. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Agreement of the two labellings of the training texts.")
    parser.add_argument("--labels", type=Path, default=DATA_FOLDER / "second_labels.jsonl")
    parser.add_argument("--data", type=Path, default=DATA_FOLDER)
    options = parser.parse_args()
    items, _ = read_items(options.data.glob("part_*.jsonl"))
    labels = read_labels(options.labels)
    for name, value in compare(items, labels).items():
        print(f"{name:36} {value:.3f}" if isinstance(value, float) else f"{name:36} {value}")
    for kind, (count, share) in by_kind(items, labels).items():
        print(f"{kind:36} {share:.3f} of {count} the same, risk or benign")
    for count, first, second in disagreements(items, labels)[:12]:
        print(f"{count:5}  {first} / {second}")
    return 0


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits) if hits else float("nan")


if __name__ == "__main__":
    raise SystemExit(main())
