"""The training texts: read, checked, freed of repeats, and split the same way every time."""

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.safeguarding.severity import Category

KINDS = frozenset({"direct", "indirect", "hard_benign", "ordinary"})
SOURCES = frozenset({"chat", "search", "note", "document", "ai_prompt", "game", "social", "email"})
AGE_BANDS = frozenset({"7-11", "11-14", "14-16", "16-18"})
SPLITS = ("train", "dev", "test")
DEV_SHARE, TEST_SHARE = 0.14, 0.12
NEAR = 0.7
"""Texts that share this much of their words, and a run of four of them, are kept in the same split."""
COMMON_RUN = 40
"""A run of four words in more texts than this says nothing of likeness."""


@dataclass(frozen=True, slots=True)
class Item:
    """One text with what a reader made of it. severity: 1 to 5. pair: shared by a risk text and its benign twin."""

    text: str
    category: Category
    severity: int
    kind: str
    source: str
    age_band: str
    pair: str | None

    @property
    def is_risk(self) -> bool:
        """Whether the text is about anything at all."""
        return self.category is not Category.NONE


def read_items(files: Iterable[Path]) -> tuple[list[Item], list[str]]:
    """Every well-formed item of ``files`` once, and a sentence for each line that was left out.

    A text that comes twice with the same label is kept once; with two labels, both are left out.
    """
    items: dict[str, Item] = {}
    disputed: set[str] = set()
    faults: list[str] = []
    for file in sorted(files):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                item = parse_item(json.loads(line), file.stem)
            except (ValueError, KeyError, TypeError) as error:
                faults.append(f"{file.name}:{number}: {error}")
                continue
            key = plain(item.text)
            if key in items:
                faults.append(f"{file.name}:{number}: repeats an earlier text")
                if items[key].category is not item.category:
                    disputed.add(key)
                continue
            items[key] = item
    return [item for key, item in items.items() if key not in disputed], faults


def parse_item(fields: dict[str, object], file: str) -> Item:
    """One line's fields as an Item. Raises ValueError or KeyError naming the field that is wrong."""
    category = Category(str(fields["category"]))
    severity = fields["severity"]
    text = fields["text"]
    if not isinstance(text, str) or not text.strip():
        raise ValueError("text is empty")
    if not isinstance(severity, int) or not 1 <= severity <= 5:
        raise ValueError("severity is not 1 to 5")
    for name, allowed in (("kind", KINDS), ("source", SOURCES), ("age_band", AGE_BANDS)):
        if fields[name] not in allowed:
            raise ValueError(f"{name} is {fields[name]!r}")
    benign = fields["kind"] in ("hard_benign", "ordinary")
    if benign != (category is Category.NONE):
        raise ValueError(f"kind {fields['kind']} does not go with category {category.value}")
    pair = fields.get("pair")
    return Item(
        text=text,
        category=category,
        severity=1 if benign else severity,
        kind=str(fields["kind"]),
        source=str(fields["source"]),
        age_band=str(fields["age_band"]),
        pair=f"{file}:{pair}" if pair else None,
    )


def plain(text: str) -> str:
    """``text`` as it is compared: lower case, words only."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower().replace("'", "").replace("’", "")))


def split_items(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The items by split. Pairs and near-repeats stay together; a group's split follows from its least hash."""
    groups = _groups(items)
    split: dict[str, list[Item]] = {name: [] for name in SPLITS}
    for group in groups:
        least = min(hashlib.sha256(plain(items[index].text).encode()).hexdigest() for index in group)
        place = int(least[-8:], 16) / 0x100000000
        name = "test" if place < TEST_SHARE else "dev" if place < TEST_SHARE + DEV_SHARE else "train"
        split[name].extend(items[index] for index in group)
    return split


def data_hash(items: Sequence[Item]) -> str:
    """One sha256 over all items, whatever order they came in."""
    lines = sorted(f"{item.text}\t{item.category.value}\t{item.severity}" for item in items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def count_items(items: Sequence[Item]) -> dict[str, int]:
    """How many items a kind, in name order."""
    return dict(sorted(Counter(item.kind for item in items).items()))


def _groups(items: Sequence[Item]) -> list[list[int]]:
    """Indices of items that belong together, by pair and by likeness, joined through each other."""
    parent = list(range(len(items)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    by_pair: dict[str, int] = {}
    for index, item in enumerate(items):
        if item.pair is not None:
            parent[root(index)] = root(by_pair.setdefault(item.pair, index))
    words = [plain(item.text).split() for item in items]
    by_run: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for index, text in enumerate(words):
        for start in range(max(len(text) - 3, 1)):
            by_run[tuple(text[start : start + 4])].add(index)
    sets = [frozenset(text) for text in words]
    for members in by_run.values():
        if not 1 < len(members) <= COMMON_RUN:
            continue
        ordered = sorted(members)
        for place, first in enumerate(ordered):
            for second in ordered[place + 1 :]:
                union = len(sets[first] | sets[second])
                if union and len(sets[first] & sets[second]) / union >= NEAR:
                    parent[root(second)] = root(first)
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(items)):
        groups[root(index)].append(index)
    return list(groups.values())
