"""The policy document: what the trust has decided its devices watch for, checked before anything runs on it.

A JSON object:

    {"version": "2025-09-01", "academy": "Larkfield Academy", "context_minutes": 10,
     "excluded_applications": ["KeePassXC"], "excluded_addresses": ["bank.example", "nhs.example/my-record"],
     "rules": [{"id": "abuse-home", "category": "abuse", "phrases": ["scared to go home"],
                "with_any": [], "unless_any": ["in the book"], "within_words": 8}]}

``context_minutes``, the two exclusions, ``with_any``, ``unless_any`` and ``within_words`` may be left out.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.normalise import plain_words

MINUTES_AT_MOST = 120
WORDS_AT_MOST = 50
VERSION_AT_MOST = 100
"""Characters; it goes out with every heartbeat."""
_MISSING = object()
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class PolicyError(ValueError):
    """A policy that can't be used. The message names every fault with its place in the document, one a line."""


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
class Policy:
    """One version of the whole policy. Rules stand in order of weight: where two fire on one text, the first counts."""

    version: str
    academy: str
    rules: tuple[Rule, ...]
    context_minutes: float = 10.0
    excluded_applications: frozenset[str] = frozenset()
    excluded_addresses: tuple[str, ...] = ()

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
    """The policy in the file at ``path``. Raises PolicyError, also where it can't be read or isn't JSON."""
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
    check = _Check()
    fields = check.mapping(
        document,
        "policy",
        {"version", "academy", "rules"},
        {"context_minutes", "excluded_applications", "excluded_addresses"},
    )
    entries = fields.get("rules", [])
    if not isinstance(entries, list) or not entries:
        check.fault("rules", "must be a list of at least one rule")
        entries = []
    rules = tuple(check.rule(entry, f"rules[{index}]") for index, entry in enumerate(entries))
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            check.fault(f"rules[{index}].id", f"{rule.id!r} is used twice")
        seen.add(rule.id)
    policy = Policy(
        version=check.text(fields.get("version", _MISSING), "version"),
        academy=check.text(fields.get("academy", _MISSING), "academy"),
        rules=rules,
        context_minutes=check.number(fields.get("context_minutes", 10), "context_minutes", 0, MINUTES_AT_MOST),
        excluded_applications=frozenset(
            name.casefold() for name in check.texts(fields.get("excluded_applications", []), "excluded_applications")
        ),
        excluded_addresses=check.texts(fields.get("excluded_addresses", []), "excluded_addresses"),
    )
    if len(policy.version) > VERSION_AT_MOST:
        check.fault("version", f"must hold at most {VERSION_AT_MOST} characters")
    check.finish()
    return policy


class _Check:
    """Collects the faults of one document, so that its author sees all of them at once."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")

    def finish(self) -> None:
        if self.faults:
            raise PolicyError("\n".join(self.faults))

    def mapping(self, value: Any, where: str, needed: set[str], optional: set[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fault(where, "must be an object")
            return {}
        for name in sorted(needed - value.keys()):
            self.fault(where, f"{name!r} is missing")
        for name in sorted(value.keys() - needed - optional):
            self.fault(where, f"{name!r} is not a known field")
        return {name: value[name] for name in value if name in needed | optional}

    def text(self, value: Any, where: str) -> str:
        if isinstance(value, str) and value.strip():
            return value
        if value is not _MISSING:  # that has been named already
            self.fault(where, "must be text, and not empty")
        return ""

    def texts(self, value: Any, where: str) -> tuple[str, ...]:
        if not isinstance(value, list):
            self.fault(where, "must be a list of texts")
            return ()
        return tuple(self.text(entry, f"{where}[{index}]") for index, entry in enumerate(value))

    def number(self, value: Any, where: str, least: float, most: float) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(where, f"must be a number from {least} to {most}")
        return least

    def phrases(self, value: Any, where: str) -> tuple[str, ...]:
        texts = self.texts(value, where)
        for index, text in enumerate(texts):
            if text and len("".join(plain_words(text))) < 2:
                self.fault(f"{where}[{index}]", "holds no word to look for")
        return texts

    def rule(self, value: Any, where: str) -> Rule:
        fields = self.mapping(value, where, {"id", "category", "phrases"}, {"with_any", "unless_any", "within_words"})
        names = {name: self.text(fields.get(name, _MISSING), f"{where}.{name}") for name in ("id", "category")}
        for name, text in names.items():
            if text and not _ID.fullmatch(text):
                self.fault(f"{where}.{name}", "may hold only a-z, 0-9, - and _, at most 64")
        phrases = self.phrases(fields.get("phrases", []), f"{where}.phrases")
        if not phrases and isinstance(fields.get("phrases"), list):
            self.fault(f"{where}.phrases", "must hold at least one phrase")
        within = self.number(fields.get("within_words", 8), f"{where}.within_words", 1, WORDS_AT_MOST)
        return Rule(
            id=names["id"],
            category=names["category"],
            phrases=phrases,
            with_any=self.phrases(fields.get("with_any", []), f"{where}.with_any"),
            unless_any=self.phrases(fields.get("unless_any", []), f"{where}.unless_any"),
            within_words=int(within),
        )


def _split_address(address: str) -> tuple[str, str]:
    """The lower-case host without port and "www.", and the path, of an address with or without its scheme."""
    rest = address.partition("://")[2] if "://" in address else address
    host, _, path = rest.partition("/")
    host = host.rpartition("@")[2].partition(":")[0].lower().removeprefix("www.")
    return host, "/" + path.partition("?")[0].partition("#")[0] if path else ""
