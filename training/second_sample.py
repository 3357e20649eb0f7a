"""Draws the texts for a second labelling, blind: ``python -m training.second_sample`` prints number and text, no label.

The same tenth of ``training/data`` for the same seed, whatever order the files come in.
"""

import argparse
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

from training.data import Item, read_items

DATA_FOLDER = Path(__file__).with_name("data")
SHARE, SEED = 0.1, 20261124


def draw_sample(items: Sequence[Item], share: float = SHARE, seed: int = SEED) -> list[Item]:
    """``share`` of the items, drawn evenly over all, in a random order that tells nothing of where they stood."""
    ordered = sorted(items, key=lambda item: text_hash(item.text))
    return random.Random(seed).sample(ordered, round(len(ordered) * share))


def text_hash(text: str) -> str:
    """The sha256 under which a text's second label is kept."""
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> int:
    """Print the sample. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Print the texts of the second labelling: number, pipe, text.")
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--count", type=int, default=10**6)
    options = parser.parse_args()
    items, _ = read_items(DATA_FOLDER.glob("part_*.jsonl"))
    for number, item in list(enumerate(draw_sample(items)))[options.first : options.first + options.count]:
        print(f"{number}|{item.text.replace(chr(10), ' / ')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
