"""Renders the demo's screens: each page template with its scenes, as lossless WebP, and the words a reader can see.

Needs /usr/bin/chromium and these Debian packages (same fonts, same pixels): fonts-open-sans fonts-noto-core
fonts-roboto fonts-liberation fonts-lato fonts-dejavu-core fonts-noto-color-emoji. Run it from the root of the tree:

    python -m demo.screens.render            every screen, and truth.json
    python -m demo.screens.render NAME ...   only these; truth.json keeps what it had for the others
"""

import argparse
import colorsys
import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
    "--disable-lcd-text",  # grey edges on the letters, whatever the machine's own setting
]
DEFAULT_SIZE = (1366, 768)

VISIBLE_WORDS = """() => {
  const out = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let last = null;
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const parent = node.parentElement;
    let block = parent;
    while (getComputedStyle(block).display === 'inline') block = block.parentElement;
    const cut = getComputedStyle(block).textOverflow === 'ellipsis' && block.scrollWidth > block.clientWidth;
    const edge = cut ? block.getBoundingClientRect().right - 14 : innerWidth;  // the dots take the room of two letters
    const each = /\\S+/g;
    for (let m = each.exec(node.data); m; m = each.exec(node.data)) {
      const range = document.createRange();
      range.setStart(node, m.index); range.setEnd(node, m.index + m[0].length);
      const boxes = [...range.getClientRects()];
      if (!boxes.length || boxes[0].width < 1) continue;
      const whole = boxes.every(box => {
        const x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2;
        return [[box.left + 1, y], [box.right - 1, y], [x, box.top + 2], [x, box.bottom - 2]].every(([x, y]) => {
          const hit = document.elementFromPoint(x, y);
          return hit && block.contains(hit) && x < edge;
        });
      });
      if (!whole) { last = null; continue; }
      const left = boxes[0].left, end = boxes[boxes.length - 1];
      const joined = last && last.block === block && Math.abs(left - last.right) < 0.5 && m.index === 0;
      if (joined && Math.abs(boxes[0].bottom - last.bottom) < 3) out[out.length - 1] += m[0];
      else out.push(m[0]);
      last = m.index + m[0].length === node.data.length ? {block, right: end.right, bottom: end.bottom} : null;
    }
  }
  return out;
}"""
"""Words of which no edge is cut off or covered, in the order of the document. A word in two colours is one word."""

_PYTHON = re.compile(
    r"(?P<cm>#.*$)|(?P<st>f?\"[^\"]*\"|f?'[^']*')|(?P<kw>\b(?:def|class|return|if|elif|else|for|while|in|not|and|or|import|"
    r"from|as|with|try|except|break|continue|True|False|None|self)\b)|(?P<nu>\b\d+(?:\.\d+)?\b)|(?P<fn>\b\w+(?=\())"
)


@dataclass(frozen=True, slots=True)
class Screen:
    """One picture to make. shown: how many of the scene's items are on it. clock: the time in the corner."""

    name: str
    page: str
    size: tuple[int, int]
    shown: int
    clock: str
    scene: dict[str, Any]


def read_screens() -> Iterator[Screen]:
    """Every screen of scenes/*.json, in the order of the files."""
    for path in sorted((HERE / "scenes").glob("*.json")):
        for scene in json.loads(path.read_text(encoding="utf-8")):
            for name, shown, clock in scene["screens"]:
                yield Screen(name, path.stem, tuple(scene.get("size", DEFAULT_SIZE)), shown, clock, scene)


def tint(name: str, lightness: int = 42) -> str:
    """A colour that belongs to a name: the same at every run. lightness: 0 to 100."""
    hue = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2]) / 65536
    red, green, blue = (round(part * 255) for part in colorsys.hls_to_rgb(hue, lightness / 100, 0.48))
    return f"#{red:02x}{green:02x}{blue:02x}"


def initials(name: str) -> str:
    """The one or two letters for a face without a picture."""
    parts = [part for part in re.split(r"[\s_.]+", name) if part[:1].isalnum()]
    return "".join(part[0] for part in parts[:2]).upper() or "?"


def code(line: str) -> Markup:
    """A line of Python with its words in colours."""
    done, out = 0, Markup()
    for match in _PYTHON.finditer(line):
        out += escape(line[done : match.start()])
        out += Markup('<span class="{}">{}</span>').format(match.lastgroup, match.group())
        done = match.end()
    return out + escape(line[done:])


def make_environment() -> Environment:
    """The page templates, ready to fill."""
    environment = Environment(loader=FileSystemLoader(HERE / "pages"), autoescape=True)
    environment.globals.update(tint=tint, initials=initials)
    environment.filters["code"] = code
    return environment


def compose(environment: Environment, screen: Screen) -> str:
    """The page of one screen as HTML."""
    return environment.get_template(f"{screen.page}.html").render(
        data=screen.scene["data"],
        items=screen.scene["items"][: screen.shown],
        shell={"owner": screen.scene["owner"], "clock": screen.clock},
        people=screen.scene.get("people", {}),
    )


def photograph(browser: Browser, html: str, size: tuple[int, int]) -> tuple[bytes, list[str]]:
    """The page as lossless WebP, and its visible words (those with a letter or a digit in them)."""
    width, height = size
    page = browser.new_page(viewport={"width": width, "height": height}, locale="en-GB", reduced_motion="reduce")
    page.set_content(html, wait_until="load")
    page.evaluate("document.fonts.ready")
    words = [word for word in page.evaluate(VISIBLE_WORDS) if any(letter.isalnum() for letter in word)]
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.close()
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, quality=100, method=6)
    return out.getvalue(), words


def main() -> None:
    """Render what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="screens to render; all if none is given")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    options = parser.parse_args()
    environment = make_environment()
    truth_file = options.out / "truth.json"
    truth: dict[str, list[str]] = {}
    if options.names and truth_file.exists():
        truth = json.loads(truth_file.read_text(encoding="utf-8"))
    total = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        for screen in read_screens():
            if options.names and screen.name not in options.names:
                continue
            image, truth[f"{screen.name}.webp"] = photograph(browser, compose(environment, screen), screen.size)
            (options.out / f"{screen.name}.webp").write_bytes(image)
            total += len(image)
        browser.close()
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(truth[name], ensure_ascii=False)}" for name in sorted(truth))
    truth_file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    print(f"{len(truth)} screens in {truth_file.name}, {total / 1024:.0f} KiB written")


if __name__ == "__main__":
    main()
