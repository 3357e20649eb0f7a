"""The extension in a real Chromium, a small box for it, and pages to type in."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agent.browser.pack import files, load_or_make_key, write_unpacked
from tests.extension.box import SmallBox
from tests.extension.browser import Browser, Page

PAGES = Path(__file__).with_name("pages")


class _Quiet(SimpleHTTPRequestHandler):
    def guess_type(self, path: str | os.PathLike[str]) -> str:
        return "application/x-chrome-extension" if str(path).endswith(".crx") else super().guess_type(path)

    def log_message(self, *_: object) -> None:
        pass


def serve(folder: Path) -> ThreadingHTTPServer:
    """A folder over HTTP, at a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="session")
def pages() -> Iterator[int]:
    """The port of the pages. Every name under .example leads there, in these browsers."""
    server = serve(PAGES)
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension as a folder. One of the tests' own sites draws its text, as some word processors do."""
    folder = tmp_path_factory.mktemp("unpacked")
    held = files(load_or_make_key(folder / "key.pem"), None)
    sites = json.loads(held["sites.json"])
    sites["keys"].append("canvas.example")
    held["sites.json"] = json.dumps(sites).encode()
    write_unpacked(folder / "extension", held)
    return folder / "extension"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallBox]:
    made = SmallBox(tmp_path_factory.mktemp("box"))
    yield made
    made.close()


StartBrowser = Callable[[], Browser]


def enrol(browser: Browser, box: SmallBox, name: str = "Year 8 laptop") -> str:
    """Connect a browser by hand, as a technician does; its device id."""
    page = browser.open(f"chrome-extension://{browser.extension_id()}/setup.html")
    page.wait("!document.getElementById('connect').hidden")
    for field, text in (("box", box.url), ("code", box.code), ("name", name)):
        page.focus(f"document.getElementById('{field}')")
        page.type(text)
    page.type("\n")
    page.wait("/connected as/.test(document.getElementById('words').textContent)")
    device = str(page.evaluate("document.getElementById('words').textContent.match(/connected as ([\\w-]+)/)[1]"))
    beat = box.wait_for_beat(lambda one: one["device_id"] == device, "the first heartbeat")
    assert beat["monitored_now"] is True
    page.close()
    return device


def forget_events(browser: Browser) -> None:
    """Make the extension forget which events it has made lately, and start its worker anew."""
    with browser.worker() as evaluate:
        evaluate("chrome.storage.session.remove('observer')")
    browser.stop_worker()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, unpacked: Path, box: SmallBox) -> Iterator[Browser]:
    """A browser with the extension, connected to the box."""
    made = Browser(tmp_path_factory.mktemp("home") / "profile", box.flag, extension=unpacked)
    made.device = enrol(made, box)  # type: ignore[attr-defined]
    yield made
    made.close()


@pytest.fixture
def open_page(browser: Browser, pages: int) -> Iterator[Callable[..., Page]]:
    """Open one of the test pages, at a host of choice, in front."""
    opened: list[Page] = []

    def open_one(name: str, host: str = "school.example") -> Page:
        page = browser.open(f"http://{host}:{pages}/{name}")
        page.front()
        opened.append(page)
        return page

    yield open_one
    for page in opened:
        page.close()
