"""Reads 45 rendered screens of fifteen kinds and compares what was read with the words the page really showed.

Needs Chromium and playwright for rendering (once, into a folder); afterwards the folder is enough. Every page and every
sentence is original. Ground truth is the page's own DOM: the words whose rectangle is wholly visible and uncovered.

    python -m benchmarks.screens_bench render FOLDER --seed 1
    python -m benchmarks.screens_bench measure FOLDER
"""

import argparse
import json
import random
import re
import resource
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from tests.ocr.pages import CONCERNS, FONTS, STYLE, TEMPLATES, Writer

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
]  # fmt: skip
SCREENS = ((1366, 768, 1.0), (1920, 1080, 1.0), (1536, 864, 1.25))
"""Width and height in CSS pixels, and how many pixels of the screen each takes: what most screens are."""
LARGE_SCREENS = ((1920, 1080, 2.0), (2560, 1440, 1.0), (1280, 800, 1.5))
"""The third screen of each kind, up to 3840 x 2160, kept as WebP at quality 80 as a device short of room would."""
LOSSY = 80

VISIBLE_WORDS = """() => { const out = []; const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let node, block = 0, last = null;
while (node = walk.nextNode()) {
  const e = node.parentElement; if (e.tagName === 'SCRIPT') continue;
  let b = e; while (b !== document.body && getComputedStyle(b).display.startsWith('inline')) b = b.parentElement;
  if (b !== last) { block++; last = b; }
  const re = /\\S+/g; let m;
  while (m = re.exec(node.data)) {
    const r = document.createRange(); r.setStart(node, m.index); r.setEnd(node, m.index + m[0].length);
    const q = r.getClientRects(); if (q.length !== 1 || q[0].width < 1) continue;
    const c = q[0], y = (c.top + c.bottom) / 2;
    let cut = c.left < 0 || c.top < 0 || c.right > innerWidth || c.bottom > innerHeight;
    const points = [[c.left + 1, y], [(c.left + c.right) / 2, y], [c.right - 1, y], [c.left + 1, c.top + 3],
      [c.right - 1, c.bottom - 3]];
    const seen = points.filter(p => {
      const h = document.elementFromPoint(p[0], p[1]); return h && (h.contains(e) || e.contains(h)); });
    if (!seen.length) continue;
    cut = cut || seen.length < points.length;
    for (let box = e; box && box !== document.body; box = box.parentElement) {
      if (getComputedStyle(box).overflow !== 'hidden') continue;
      const k = box.getBoundingClientRect();
      cut = cut || c.right > k.right + 1 || c.bottom > k.bottom + 1 || c.left < k.left - 1;
    }
    out.push({text: m[0], x: c.left, y: c.top, w: c.width, h: c.height, block, cut});
  }
} return out }"""


def render(folder: Path, seed: int) -> None:
    """Writes every template three times with its visible words as JSON beside it.

    Light and dark as PNG, and once more, light and dark in turn, with other words as lossy WebP.
    """
    import cv2
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        for number, (name, template) in enumerate(TEMPLATES.items()):
            for dark, lossy in ((False, False), (True, False), (number % 2 == 1, True)):
                rng = random.Random(f"{seed} {name} {dark}" + (" lossy" if lossy else ""))
                kinds = LARGE_SCREENS if lossy else SCREENS
                width, height, scale = kinds[(number + dark + seed) % 3]
                page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=scale)
                body = template(Writer(rng), dark)
                root = f"<!doctype html><html class={'dark' if dark else 'light'}>"
                page.set_content(f"{root}{STYLE}<body style=\"font-family:'{rng.choice(FONTS)}'\">{body}")
                words = page.evaluate(VISIBLE_WORDS)
                for word in words:
                    word.update({k: word[k] * scale for k in ("x", "y", "w", "h")})
                stem = (
                    folder / f"{name}_{'dark' if dark else 'light'}_{round(width * scale)}{'_lossy' if lossy else ''}"
                )
                page.screenshot(path=f"{stem}.png")
                if lossy:
                    pixels = cv2.imread(f"{stem}.png")
                    cv2.imwrite(f"{stem}.webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, LOSSY])
                    Path(f"{stem}.png").unlink()
                stem.with_suffix(".json").write_text(json.dumps(words), encoding="utf-8")
                page.close()
        browser.close()


def plain(text: str) -> str:
    """A word as it is compared: lower case, letters and digits only."""
    return re.sub(r"[\W_]+", "", text.lower())


def distance_within(line: str, text: str) -> int:
    """The least number of edits that turn some stretch of ``text`` into ``line``."""
    letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    column = np.arange(len(letters) + 1)
    row = np.zeros(len(letters) + 1, int)
    for number, letter in enumerate(line, 1):
        following = np.empty_like(row)
        following[0] = number
        following[1:] = np.minimum(row[:-1] + (letters != ord(letter)), row[1:] + 1)
        row = np.minimum.accumulate(following - column) + column
    return int(row.min())


def true_lines(words: list[dict]) -> Iterator[str]:
    """The page's words joined to screen lines: same block, same height."""
    line: list[dict] = []
    for word in words:
        last = line[-1] if line else word
        lower = abs(word["y"] + word["h"] - last["y"] - last["h"]) > 6
        if line and (word["block"] != last["block"] or lower or word["x"] < last["x"]):
            yield " ".join(w["text"] for w in line)
            line = []
        line.append(word)
    if line:
        yield " ".join(w["text"] for w in line)


def compare(text: str, words: list[dict]) -> dict[str, int]:
    """How many words are hit, true and read, characters wrong and true, concern phrases on the page and hit."""
    whole = [w for w in words if not w["cut"]]
    truth = Counter(filter(None, (plain(w["text"]) for w in whole)))
    read = Counter(filter(None, map(plain, text.split())))
    # half a word at an edge is neither asked for nor held against the reader
    for word in (plain(w["text"]) for w in words if w["cut"]):
        spare = [r for r in read if r and r in word and read[r] > truth[r]]
        if spare:
            read[max(spare, key=len)] -= 1
    flat = " ".join(text.lower().split())
    lines = [re.sub(r"[^\x00-\u024f\u2013\u2014]", "", line.lower()).strip() for line in true_lines(whole)]
    # a phrase may go over two lines of its bubble, and must come out in one piece all the same
    blocks = [" ".join(w["text"] for w in block) for _, block in groupby(whole, key=lambda w: w["block"])]
    phrases = [phrase for block in blocks for phrase in CONCERNS if phrase in block]
    return {
        "hit": (truth & read).total(), "true": truth.total(), "read": read.total(),
        "wrong": sum(distance_within(line, flat) for line in lines if line), "characters": sum(map(len, lines)),
        "phrases": len(phrases), "phrases_hit": sum(distance_within(p, flat) <= 0.1 * len(p) for p in phrases),
    }  # fmt: skip


def measure_folder(folder: Path, read: Callable[[bytes], str], show: bool = True) -> dict[str, float]:
    """Reads every picture of the folder; prints one line a screen and the whole; returns the whole."""
    total: Counter[str] = Counter()
    worst, seconds = 1.0, []
    for path in screens_of(folder):
        image = path.read_bytes()
        started = cpu_seconds()
        text = read(image)
        seconds.append(cpu_seconds() - started)
        score = compare(text, json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
        total.update(score)
        worst = min(worst, score["hit"] / score["true"])
        if show:
            rates = shares(score)
            figures = "  ".join(f"{name} {rates[name]:6.1%}" for name in ("recall", "precision", "cer"))
            print(f"{path.stem:34} {figures}  words {score['true']:4}  {seconds[-1]:.2f} s")
    whole = shares(total) | {"worst": worst, "seconds": statistics.mean(seconds)}
    print("  ".join(f"{name} {value:.4f}" for name, value in whole.items()), f" words {total['true']}")
    return whole


def cpu_seconds() -> float:
    """CPU time so far of this process and of the programs it started that ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def screens_of(folder: Path) -> list[Path]:
    """The pictures of a rendered folder, by name."""
    return sorted([*folder.glob("*.png"), *folder.glob("*.webp")])


def shares(score: dict[str, int]) -> dict[str, float]:
    """recall, precision: of words. cer: characters wrong. phrases: concern phrases found. All 0 to 1."""
    return {
        "recall": score["hit"] / score["true"],
        "precision": score["hit"] / max(1, score["read"]),
        "cer": score["wrong"] / score["characters"],
        "phrases": score["phrases_hit"] / max(1, score["phrases"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("render", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.verb == "render":
        render(options.folder, options.seed)
        return
    from appliance.ocr import Reader

    reader = Reader(cache_lines=0)
    measure_folder(options.folder, lambda image: reader.read(image).text)


if __name__ == "__main__":
    main()
