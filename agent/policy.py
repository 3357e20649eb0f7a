"""The policy document: what the trust has decided its devices watch for and when, checked before anything runs on it.

A JSON object (`agent.signature` has the envelope in which it travels):

    {"version": "2025-09-01", "academy": "Larkfield Academy", "context_minutes": 10,
     "excluded_applications": ["KeePassXC"], "excluded_addresses": ["bank.example", "nhs.example/my-record"],
     "rules": [{"id": "abuse-home", "category": "abuse", "phrases": ["scared to go home"],
                "with_any": [], "unless_any": ["in the book"], "within_words": 8}]}

``context_minutes``, the two exclusions, ``with_any``, ``unless_any`` and ``within_words`` may be left out, as may, in
a plain file, what the box adds when it issues a policy:

    {"number": 7, "issued_at": "2025-09-01T07:00:00+00:00", "expires_at": "2026-09-01T07:00:00+00:00",
     "age_band": "11-14", "hours": {...}, "screenshot": true,
     "notice": {"version": "2025-09", "title": "", "body": "", "contacts": ""}, "help": {"title": "", "body": ""}}

``hours`` is told in `agent.hours`.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from agent.checks import MISSING, Checks
from agent.checks import PolicyError as PolicyError
from agent.hours import Hours, read_hours
from agent.normalise import plain_words

MINUTES_AT_MOST = 120
WORDS_AT_MOST = 50
VERSION_AT_MOST = 100
"""Characters; it goes out with every heartbeat."""
NOTICE_AT_MOST = 20_000
"""Characters of the notice's and of the help form's text."""
AGE_BANDS = ("7-11", "11-14", "14-16", "16-18", "mixed")
_ADDED = {"number", "issued_at", "expires_at", "age_band", "hours", "notice", "help", "screenshot"}
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to watch for. It fires on a phrase, if a with_any phrase (where there are any) stands within
    ``within_words`` words of it and no unless_any phrase does.
    """

    id: str
    category: str
    phrases: tuple[str, ...]
    with_any: tuple[str, ...] = ()
    unless_any: tuple[str, ...] = ()
    within_words: int = 8


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person is told at the first log-on. body: paragraphs with an empty line between them."""

    version: str
    title: str
    body: str
    contacts: str


@dataclass(frozen=True, slots=True)
class Help:
    """The words over the form in which a pupil asks for help."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the whole policy. Rules stand in order of weight: where two fire on one text, the first counts.

    number grows with each issue for an academy. None stands where the document doesn't say; without hours a device is
    monitored at all times. screenshot: whether an event takes the screen along.
    """

    version: str
    academy: str
    rules: tuple[Rule, ...]
    context_minutes: float = 10.0
    excluded_applications: frozenset[str] = frozenset()
    excluded_addresses: tuple[str, ...] = ()
    number: int | None = None
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    age_band: str = "mixed"
    hours: Hours | None = None
    notice: Notice | None = None
    help: Help | None = None
    screenshot: bool = True

    def excludes(self, application: str, address: str) -> bool:
        """Whether what is typed here is never read. An address entry covers its subdomains and everything below it."""
        if application.casefold() in self.excluded_applications:
            return True
        host, path = _split_address(address)
        for entry in self.excluded_addresses:
            entry_host, entry_path = _split_address(entry)
            if (host == entry_host or host.endswith("." + entry_host)) and (
                path == entry_path or path.startswith(entry_path.rstrip("/") + "/")
            ):
                return True
        return False


def load_policy(path: Path) -> Policy:
    """The policy in the plain, unsigned file at ``path``, for whoever writes or tests one; a device wants it signed.

    Raises PolicyError, also where it can't be read or isn't JSON.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"the policy file can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError("the policy file isn't UTF-8 text") from error
    except json.JSONDecodeError as error:
        raise PolicyError(f"the policy file isn't JSON: line {error.lineno}: {error.msg}") from error
    return parse_policy(document)


def parse_policy(document: Any) -> Policy:
    """The policy in a parsed JSON ``document``. Raises PolicyError with every fault that was found."""
    check = Checks()
    fields = check.mapping(
        document,
        "policy",
        {"version", "academy", "rules"},
        {"context_minutes", "excluded_applications", "excluded_addresses"} | _ADDED,
    )
    entries = fields.get("rules", [])
    if not isinstance(entries, list) or not entries:
        check.fault("rules", "must be a list of at least one rule")
        entries = []
    rules = tuple(_read_rule(check, entry, f"rules[{index}]") for index, entry in enumerate(entries))
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            check.fault(f"rules[{index}].id", f"{rule.id!r} is used twice")
        seen.add(rule.id)
    policy = Policy(
        version=check.text(fields.get("version", MISSING), "version"),
        academy=check.text(fields.get("academy", MISSING), "academy"),
        rules=rules,
        context_minutes=check.number(fields.get("context_minutes", 10), "context_minutes", 0, MINUTES_AT_MOST),
        excluded_applications=frozenset(
            name.casefold() for name in check.texts(fields.get("excluded_applications", []), "excluded_applications")
        ),
        excluded_addresses=check.texts(fields.get("excluded_addresses", []), "excluded_addresses"),
        number=None if "number" not in fields else int(check.whole(fields["number"], "number", 1, 10**9)),
        issued_at=check.time(fields["issued_at"], "issued_at") if "issued_at" in fields else None,
        expires_at=check.time(fields["expires_at"], "expires_at") if "expires_at" in fields else None,
        age_band=check.one_of(fields.get("age_band", "mixed"), "age_band", AGE_BANDS),
        hours=None if fields.get("hours") is None else read_hours(check, fields["hours"], "hours"),
        notice=None if fields.get("notice") is None else _read_notice(check, fields["notice"]),
        help=None if fields.get("help") is None else _read_help(check, fields["help"]),
        screenshot=check.flag(fields.get("screenshot", True), "screenshot"),
    )
    if len(policy.version) > VERSION_AT_MOST:
        check.fault("version", f"must hold at most {VERSION_AT_MOST} characters")
    check.finish()
    return policy


def monitored_now(policy: Policy, now: datetime) -> bool:
    """Whether ``policy`` has this device read anything at ``now`` (aware)."""
    return policy.hours is None or policy.hours.monitored_at(now)


def _read_phrases(check: Checks, value: Any, where: str) -> tuple[str, ...]:
    texts = check.texts(value, where)
    for index, text in enumerate(texts):
        if text and len("".join(plain_words(text))) < 2:
            check.fault(f"{where}[{index}]", "holds no word to look for")
    return texts


def _read_rule(check: Checks, value: Any, where: str) -> Rule:
    fields = check.mapping(value, where, {"id", "category", "phrases"}, {"with_any", "unless_any", "within_words"})
    names = {name: check.text(fields.get(name, MISSING), f"{where}.{name}") for name in ("id", "category")}
    for name, text in names.items():
        if text and not _ID.fullmatch(text):
            check.fault(f"{where}.{name}", "may hold only a-z, 0-9, - and _, at most 64")
    phrases = _read_phrases(check, fields.get("phrases", []), f"{where}.phrases")
    if not phrases and isinstance(fields.get("phrases"), list):
        check.fault(f"{where}.phrases", "must hold at least one phrase")
    within = check.number(fields.get("within_words", 8), f"{where}.within_words", 1, WORDS_AT_MOST)
    return Rule(
        id=names["id"],
        category=names["category"],
        phrases=phrases,
        with_any=_read_phrases(check, fields.get("with_any", []), f"{where}.with_any"),
        unless_any=_read_phrases(check, fields.get("unless_any", []), f"{where}.unless_any"),
        within_words=int(within),
    )


def _read_notice(check: Checks, value: Any) -> Notice:
    fields = check.mapping(value, "notice", {"version", "title", "body"}, {"contacts"})
    version = check.text(fields.get("version", MISSING), "notice.version")
    if len(version) > VERSION_AT_MOST:
        check.fault("notice.version", f"must hold at most {VERSION_AT_MOST} characters")
    words = {name: _read_words(check, fields.get(name, ""), f"notice.{name}") for name in ("title", "body", "contacts")}
    return Notice(version, **words)


def _read_help(check: Checks, value: Any) -> Help:
    fields = check.mapping(value, "help", {"title", "body"}, set())
    return Help(*(_read_words(check, fields.get(name, ""), f"help.{name}") for name in ("title", "body")))


def _read_words(check: Checks, value: Any, where: str) -> str:
    """Text that may be empty, and is shown to a person."""
    if isinstance(value, str) and len(value) <= NOTICE_AT_MOST:
        return value
    check.fault(where, f"must be text of at most {NOTICE_AT_MOST} characters")
    return ""


def _split_address(address: str) -> tuple[str, str]:
    """The lower-case host without port and "www.", and the path, of an address with or without its scheme."""
    rest = address.partition("://")[2] if "://" in address else address
    host, _, path = rest.partition("/")
    host = host.rpartition("@")[2].partition(":")[0].lower().removeprefix("www.")
    return host, "/" + path.partition("?")[0].partition("#")[0] if path else ""
