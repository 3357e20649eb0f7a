"""The training texts are read strictly and split without leaks."""

import json
import random
from pathlib import Path

import pytest

from appliance.safeguarding.severity import Category
from training.calibrate import IDENTITY
from training.data import Item, plain, read_items, split_items
from training.noise import add_noise, among_others

GOOD = {
    "text": "the bus was late again",
    "category": "none",
    "severity": 1,
    "kind": "ordinary",
    "source": "chat",
    "age_band": "11-14",
}


def write(folder: Path, *lines: object) -> Path:
    file = folder / "part_9.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return file


def item(text: str, category: Category = Category.NONE, pair: str | None = None) -> Item:
    return Item(text, category, 1 if category is Category.NONE else 3, "ordinary", "chat", "11-14", pair)


@pytest.mark.parametrize(
    "fault",
    [
        {"category": "weather"},
        {"severity": 6},
        {"severity": "3"},
        {"kind": "direct"},
        {"source": "fax"},
        {"age_band": "3-5"},
        {"text": " "},
    ],
)
def test_a_line_with_a_fault_is_left_out_and_named(tmp_path: Path, fault: dict[str, object]) -> None:
    items, faults = read_items([write(tmp_path, {**GOOD, **fault}, {**GOOD, "text": "a good one"})])
    assert [one.text for one in items] == ["a good one"]
    assert len(faults) == 1 and faults[0].startswith("part_9.jsonl:1:")


def test_a_repeat_is_kept_once_and_a_disputed_one_not_at_all(tmp_path: Path) -> None:
    risk = {**GOOD, "category": "abuse", "severity": 3, "kind": "direct"}
    file = write(
        tmp_path, GOOD, {**GOOD, "text": "The bus was LATE, again!"}, {**GOOD, "text": "hm"}, {**risk, "text": "hm"}
    )
    items, faults = read_items([file])
    assert [one.text for one in items] == ["the bus was late again"]
    assert len(faults) == 2


def test_pairs_and_near_repeats_are_in_the_same_split() -> None:
    items = [item(f"text {n} about thing {n * 7} and {n * 13}", pair=f"p{n // 2}") for n in range(400)]
    items += [item(f"we walked to the old mill by river {n // 2} today with {n % 2} dogs") for n in range(200)]
    where = {one.text: name for name, part in split_items(items).items() for one in part}
    assert len(where) == 600 and set(where.values()) == {"train", "dev", "test"}
    assert all(where[items[n].text] == where[items[n + 1].text] for n in range(0, 600, 2))


def test_the_split_does_not_depend_on_the_order_of_the_texts() -> None:
    items = [item(f"text {n} about thing {n * 7}") for n in range(300)]
    shuffled = items.copy()
    random.Random(3).shuffle(shuffled)
    first, second = split_items(items), split_items(shuffled)
    assert all({one.text for one in first[name]} == {one.text for one in second[name]} for name in first)


def test_the_training_texts_of_the_tree_are_well_formed() -> None:
    items, faults = read_items((Path(__file__).parents[2] / "training" / "data").glob("part_*.jsonl"))
    assert [fault for fault in faults if "repeats" not in fault] == []
    assert len({plain(one.text) for one in items}) == len(items)
    assert {one.category for one in items} == set(Category)


def test_noise_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    text = "I really don't want to go to the party tomorrow because of him"
    assert add_noise(text, random.Random(5)) == add_noise(text, random.Random(5))
    assert len({add_noise(text, random.Random(n)) for n in range(20)}) > 10


@pytest.mark.parametrize("text", ["", "a", "\n", "\U0001f62d"])
def test_noise_takes_any_text(text: str) -> None:
    for seed in range(50):
        assert isinstance(add_noise(text, random.Random(seed)), str)


def test_a_text_among_others_stands_on_a_line_of_its_own() -> None:
    others = ["lunch is at one", "bring your kit"]
    for seed in range(20):
        assert "the text itself" in among_others("the text itself", others, random.Random(seed)).split("\n")


def test_calibration_starts_with_a_slope_for_every_category() -> None:
    assert len(IDENTITY["category"]) == len(Category) - 1
