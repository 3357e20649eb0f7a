"""Ordinary texts put together from everyday phrases: what a model sees most of and nobody would think of writing down.

They only ever teach and check "nothing here": plain replies, arrangements, opinions, requests, school work.
"""

import json
import random
import re
from pathlib import Path

from appliance.safeguarding.severity import Category
from training.data import Item

HELD_OUT = 5
"""Every fifth pattern is kept from training, so that thresholds are checked on patterns not learnt."""

PATTERN_FILE = Path(__file__).with_suffix(".json")
_SLOT = re.compile(r"\{(\w+)\}")


def compose_items(count: int, seed: str, *, held_out: bool) -> list[Item]:
    """``count`` ordinary items, the same for the same seed, from the held-out patterns or from all the others."""
    chance = random.Random(seed)
    stock = json.loads(PATTERN_FILE.read_text(encoding="utf-8"))
    chosen = [line for number, line in enumerate(stock["patterns"]) if (number % HELD_OUT == 0) is held_out]
    return [
        Item(_fill(chance.choice(chosen), stock["slots"], chance), Category.NONE, 1, "ordinary", "chat", "11-14", None)
        for _ in range(count)
    ]


def _fill(pattern: str, slots: dict[str, list[str]], chance: random.Random) -> str:
    """One text from a pattern: slots filled, spaces tidied, now and then with capitals or no points."""
    text = " ".join(_SLOT.sub(lambda slot: chance.choice(slots[slot.group(1)]), pattern).split())
    way = chance.random()
    if way < 0.25:
        return text[:1].upper() + text[1:] + chance.choice((".", "", "!", "..."))
    if way < 0.4:
        return text.replace("'", "").replace(",", "")
    if way < 0.45:
        return text.upper()
    return text
