"""What the person at the device is told, and what they answer: notice, menu, and the form that asks for help.

The windows are another process's (`agent.sensors.dialogues_gtk`); here stands what they say, and what was accepted.
"""

import json
import subprocess
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.policy import Policy
from agent.policy_store import write_whole
from agent.sensors.ports import Asked

FILE_NAME = "notices.json"


class Acceptances:
    """Who has accepted which notice when, on disk. ``accepted_at`` may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME
        self._lock = threading.Lock()
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            self._accepted: dict[str, dict[str, str]] = found if isinstance(found, dict) else {}
        except (OSError, ValueError):
            self._accepted = {}

    def accepted_at(self, account: str, version: str) -> datetime | None:
        """When ``account`` accepted this version of the notice; None where not yet."""
        with self._lock:
            entry = self._accepted.get(account)
        try:
            return datetime.fromisoformat(entry["at"]) if entry and entry["version"] == version else None
        except (KeyError, TypeError, ValueError):
            return None

    def record(self, account: str, version: str, at: datetime) -> None:
        """``account`` has accepted it; the first time counts."""
        if self.accepted_at(account, version) is not None:
            return
        with self._lock:
            self._accepted[account] = {"version": version, "at": at.isoformat()}
            write_whole(self._path, json.dumps(self._accepted).encode())


class Dialogues:
    """Opens the windows, one at a time, each in a process of its own, and hands over what is answered."""

    def __init__(self, command: Sequence[str], account: str, now: Callable[[], datetime]) -> None:
        """command: the program that shows them."""
        self._command = command
        self._account = account
        self._now = now
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def open(self, what: str, policy: Policy, monitored: bool, answered: Callable[[Asked], None]) -> bool:
        """Open "notice" or "menu". False where a window is open already or none can be opened.

        answered(asked) is called in a thread of this object; ``accepted`` "" tells that the notice is on the screen.
        """
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                return False
            try:
                self._process = subprocess.Popen(
                    list(self._command),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                )
            except OSError:
                return False
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(json.dumps({"show": what, **describe(policy, monitored)}) + "\n")
                self._process.stdin.close()
            except OSError:
                return False
            threading.Thread(target=self._listen, args=(self._process, answered), name="dialogue", daemon=True).start()
        return True

    def close(self) -> None:
        """Take down what is open."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
                self._process.wait(5)

    def _listen(self, process: "subprocess.Popen[str]", answered: Callable[[Asked], None]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                asked = read_answer(line, self._account, self._now())
                if asked is not None:
                    answered(asked)
        process.wait()


def read_answer(line: str, account: str, now: datetime) -> Asked | None:
    """What a line of the windows' program says."""
    try:
        fields: Any = json.loads(line)
    except ValueError:
        return None
    if isinstance(fields.get("accepted"), str):
        return Asked(now, account, accepted=fields["accepted"])
    if isinstance(fields.get("help"), str):
        return Asked(now, account, words=fields["help"], picture=fields.get("picture") is True)
    return Asked(now, account, accepted="") if fields.get("shown") == "notice" else None


def describe(policy: Policy, monitored: bool) -> dict[str, Any]:
    """What the windows say, in plain words made from the policy itself."""
    seen = [
        "What is typed or pasted is compared, on this device, with the phrases of the school's policy.",
        "Only if one is found: the words, what was written in the"
        f" {policy.context_minutes:g} minutes before, the program and its window.",
    ]
    if policy.screenshot:
        seen.append("A picture of the screen at that moment goes with it, with password fields blanked.")
    seen.append("Never: passwords, card numbers, terminals, fields whose kind can't be told.")
    if policy.excluded_applications or policy.excluded_addresses:
        names = sorted(policy.excluded_applications) + sorted(policy.excluded_addresses)
        more = "" if len(names) <= 8 else f" and {len(names) - 8} more"
        seen.append(f"Left alone: {', '.join(names[:8])}{more}.")
    notice, words = policy.notice, policy.help
    return {
        "monitored": monitored,
        "seen": seen,
        "by": [f"Trained staff of {policy.academy}, and its designated safeguarding lead. Nobody outside the trust."],
        "notice": None
        if notice is None
        else {"version": notice.version, "title": notice.title, "body": notice.body, "contacts": notice.contacts},
        "help": None if words is None else {"title": words.title, "body": words.body},
    }
