"""Debian's Chromium with the extension in it, driven over its debugging pipe.

Only pages are attached to, never the extension's worker: a debugger on a worker keeps it alive, and with it the
conditions that these tests are about.
"""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.whole_box import wait_for

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--headless=new", "--disable-gpu", "--no-first-run",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--window-size=1000,760", "--hide-scrollbars",
    "--remote-debugging-pipe", "--enable-unsafe-extension-debugging", "--disable-features=HttpsUpgrades",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]  # fmt: skip


class Browser:
    """One run of Chromium on a profile. policies: a folder that stands in for the system's policies, for it alone."""

    def __init__(self, profile: Path, *flags: str, extension: Path | None = None, policies: Path | None = None) -> None:
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags]
        if extension:
            # without it, the browser fetches what its policy wants installed
            command += ["--disable-background-networking"]
            command += [f"--load-extension={extension}", f"--disable-extensions-except={extension}"]
        script = f'exec 3<&{to_read} 4>&{from_write}; exec "$@"'
        run = ["bash", "-c", script, "bash", *command, "about:blank"]
        if policies:
            etc = "/etc/chromium/policies"
            mount = f'mkdir -p {etc}; mount --make-rprivate /; mount --bind "{policies}" {etc}; {script}'
            run = ["unshare", "-m", "bash", "-c", mount, "bash", *command, "about:blank"]
        self.log = profile.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                run, pass_fds=(to_read, from_write), stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "HOME": str(profile.parent)},
            )  # fmt: skip
        os.close(to_read)
        os.close(from_write)
        self._out = os.fdopen(to_write, "wb", buffering=0)
        self._in = os.fdopen(from_read, "rb", buffering=0)
        self._ids = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._came = threading.Condition()
        self._ended = False
        self._extension_id = ""
        threading.Thread(target=self._read, daemon=True).start()
        self.send("Browser.getVersion")

    def _read(self) -> None:
        waiting = b""
        with contextlib.suppress(OSError, ValueError):
            while chunk := self._in.read(65_536):
                *whole, waiting = (waiting + chunk).split(b"\0")
                for message in map(json.loads, whole):
                    if "id" in message:
                        with self._came:
                            self._answers[message["id"]] = message
                            self._came.notify_all()
        with self._came:
            self._ended = True
            self._came.notify_all()

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command of the debugging protocol; its result."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._out.write(json.dumps(message).encode() + b"\0")
        with self._came:
            assert self._came.wait_for(lambda: number in self._answers or self._ended, 60), f"no answer to {method}"
        assert number in self._answers, f"the browser ended: {self.log.read_text(errors='replace')[-2000:]}"
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def targets(self, kind: str, url: str = "") -> list[dict[str, Any]]:
        """What runs in the browser, of one kind and an address beginning with ``url``."""
        listed = self.send("Target.getTargets", filter=[{}])["targetInfos"]
        return [one for one in listed if one["type"] == kind and one["url"].startswith(url)]

    def open(self, url: str) -> "Page":
        """A page in a new tab, loaded."""
        page = Page(self, self.send("Target.createTarget", url="about:blank")["targetId"])
        page.goto(url)
        return page

    def attach(self, target: dict[str, Any]) -> "Page":
        """A page that is open already."""
        return Page(self, target["targetId"])

    def extension_id(self) -> str:
        """The id of the one extension, once its worker has run."""
        if not self._extension_id:
            found = wait_for("the extension", lambda: self.targets("service_worker", "chrome-extension://"))
            self._extension_id = str(found[0]["url"].split("/")[2])
        return self._extension_id

    @contextlib.contextmanager
    def worker(self) -> Iterator[Callable[[str], Any]]:
        """Run JavaScript in the extension's worker, for the length of the block."""
        page = wait_for("the worker", self._running_worker)
        yield page.evaluate
        self.send("Target.detachFromTarget", sessionId=page.session)

    def _running_worker(self) -> "Page | None":
        """The worker, attached to; None where there is none, or one that begins or ends just now."""
        for target in self.targets("service_worker", "chrome-extension://"):
            with contextlib.suppress(RuntimeError):
                page = Page(self, target["targetId"])
                if page.evaluate("typeof chrome === 'object' && Boolean(chrome.storage)"):
                    return page
        return None

    def stop_worker(self) -> None:
        """End the extension's worker as the browser itself does when it was idle."""
        first = {target["targetId"] for target in self.targets("service_worker", "chrome-extension://")}

        def ended() -> bool:
            # an alarm or a message may have begun the next one by now
            still = first & {target["targetId"] for target in self.targets("service_worker", "chrome-extension://")}
            for target_id in still:
                with contextlib.suppress(RuntimeError):
                    self.send("Target.closeTarget", targetId=target_id)
            return not still

        wait_for("the end of the worker", ended)

    def close(self) -> None:
        """End the browser in its own way."""
        with contextlib.suppress(OSError, AssertionError):
            self.send("Browser.close")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        self._out.close()

    def kill(self) -> None:
        """kill -9, the browser and all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)
        self._out.close()


class Page:
    """A tab."""

    def __init__(self, browser: Browser, target: str) -> None:
        self.browser = browser
        self.target = target
        self.session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.send(method, self.session, **parameters)

    def goto(self, url: str) -> None:
        """Load ``url``, and wait until it is there."""
        self.send("Page.navigate", url=url)
        wait_for(url, lambda: self.evaluate("document.readyState === 'complete' && location.href !== 'about:blank'"))

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; promises are waited for."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def front(self) -> None:
        """Bring the tab to the front."""
        self.send("Page.bringToFront")

    def focus(self, find: str) -> None:
        """Put the cursor into the element that an expression finds."""
        self.front()
        self.evaluate(f"({find}).focus()")

    def click(self, find: str) -> None:
        """Click the middle of the element that an expression finds, with the mouse."""
        left, top, right, bottom = self.box(find)
        self.click_at((left + right) / 2, (top + bottom) / 2)

    def box(self, find: str) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the element that an expression finds, in the page's units."""
        script = "(({left, top, right, bottom}) => [left, top, right, bottom])"
        left, top, right, bottom = self.evaluate(f"{script}(({find}).getBoundingClientRect())")
        return left, top, right, bottom

    def click_at(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type, a key at a time, into whatever has the focus."""
        for character in text:
            key = {"\n": "Enter", "\b": "Backspace"}.get(character, character)
            extra = {"\n": {"text": "\r", "windowsVirtualKeyCode": 13}, "\b": {"windowsVirtualKeyCode": 8}}.get(
                character, {"text": character}
            )
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **extra)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def wait(self, condition: str, within: float = 20) -> Any:
        """Wait until a JavaScript expression is true; its value."""
        return wait_for(condition, lambda: self.evaluate(condition), within)

    def close(self) -> None:
        self.browser.send("Target.closeTarget", targetId=self.target)
