"""The policy of an academy: what its devices watch for, when, and what they tell the pupil.

A draft is what people decide. Issued, it has a number that grows, a day on which it ends, and the box's signature;
devices refuse everything else.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.safeguarding.moderation import PUPIL_HELP_RULE
from appliance.safeguarding.severity import Category

AGE_BANDS = ("7-11", "11-14", "14-16", "16-18", "mixed")
"""Ages a policy is written for; "mixed" where one device is used by all."""

POLICY_LASTS = timedelta(days=400)
"""A policy is decided anew every school year. A device goes on with one that has ended, and says so."""

DOCUMENT_AT_MOST = 500_000
"""Bytes of a policy: half of what the broker carries, as the envelope makes it a third longer."""

DECIDED_AT_ISSUE = frozenset({"number", "issued_at", "expires_at"})
"""What a draft doesn't hold: the box adds it."""

_NEEDED = frozenset({"version", "rules", "age_band", "hours", "notice", "help"})
_OPTIONAL = frozenset({"academy", "context_minutes", "excluded_applications", "excluded_addresses", "screenshot"})
_RULE = frozenset({"id", "category", "phrases", "with_any", "unless_any", "within_words"})
_HOURS = frozenset({"time_zone", "weekly", "holidays", "take_home", "outside"})
_SPAN = frozenset({"days", "from", "to"})
_HOLIDAY = frozenset({"from", "to", "name"})
_CATEGORIES = frozenset(one.value for one in Category if one is not Category.NONE)
_NOTICE = {"version": 100, "title": 200, "body": 20_000, "contacts": 5_000}
_RULE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")


class PolicyDraftError(ValueError):
    """A draft that can't be issued. The message names every fault, one a line."""


@dataclass(frozen=True, slots=True)
class Policy:
    """An issued policy. document: JSON text as devices read it. rules: rule id -> category."""

    academy_id: str
    number: int
    version: str
    issued_at: datetime
    expires_at: datetime
    document: str
    rules: Mapping[str, Category]


def make_policy(
    draft: Mapping[str, Any], academy_id: str, academy_name: str, number: int, issued_at: datetime
) -> Policy:
    """The policy that comes of a draft, with the next number. Raises PolicyDraftError with every fault."""
    faults = _faults(draft)
    if faults:
        raise PolicyDraftError("\n".join(faults))
    expires_at = issued_at + POLICY_LASTS
    whole = {
        **draft,
        "academy": academy_name,
        "screenshot": draft.get("screenshot", True),
        "number": number,
        "issued_at": _text(issued_at),
        "expires_at": _text(expires_at),
    }
    document = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    if len(document.encode()) > DOCUMENT_AT_MOST:
        raise PolicyDraftError(f"the policy is larger than {DOCUMENT_AT_MOST:,} bytes")
    rules = {rule["id"]: Category(rule["category"]) for rule in draft["rules"]}
    return Policy(academy_id, number, draft["version"], issued_at, expires_at, document, rules)


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _faults(draft: Mapping[str, Any]) -> list[str]:
    faults = [f"{name!r} is missing" for name in sorted(_NEEDED - draft.keys())]
    faults += [f"{name!r} is given by the box at issue" for name in sorted(DECIDED_AT_ISSUE & draft.keys())]
    unknown = draft.keys() - _NEEDED - _OPTIONAL - DECIDED_AT_ISSUE
    faults += [f"{name!r} is no part of a policy" for name in sorted(unknown)]
    if faults:
        return faults
    if not _is_words(draft["version"], 100):
        faults.append("version: must be text of at most 100 characters")
    if draft["age_band"] not in AGE_BANDS:
        faults.append(f"age_band: must be one of {', '.join(AGE_BANDS)}")
    if type(draft.get("screenshot", True)) is not bool:
        faults.append("screenshot: must be true or false")
    if not _is_number(draft.get("context_minutes", 10), 0, 120):
        faults.append("context_minutes: must be a number from 0 to 120")
    for name in ("excluded_applications", "excluded_addresses"):
        if not _are_words(draft.get(name, [])):
            faults.append(f"{name}: must be a list of names")
    faults += _rule_faults(draft["rules"])
    faults += _hours_faults(draft["hours"])
    faults += _words_faults(draft["notice"], "notice", _NOTICE)
    faults += _words_faults(draft["help"], "help", {"title": 200, "body": 5_000})
    return faults


def _rule_faults(rules: Any) -> list[str]:
    if not isinstance(rules, list) or not rules:
        return ["rules: must be a list of at least one rule"]
    faults, seen = [], set()
    for index, rule in enumerate(rules):
        where = f"rules[{index}]"
        if not isinstance(rule, dict):
            faults.append(f"{where}: must be an object")
            continue
        faults += _unknown(rule, where, _RULE)
        name, category = rule.get("id"), rule.get("category")
        if not isinstance(name, str) or not _RULE_ID.fullmatch(name) or name in seen:
            faults.append(f"{where}.id: must be a short name of its own, in small letters")
        elif name == PUPIL_HELP_RULE:
            faults.append(f"{where}.id: {PUPIL_HELP_RULE!r} is what a pupil's own report comes under")
        seen.add(name if isinstance(name, str) else "")
        if not isinstance(category, str) or category not in _CATEGORIES:
            faults.append(f"{where}.category: must be one of the box's categories")
        if not rule.get("phrases"):
            faults.append(f"{where}.phrases: must be a list of at least one phrase")
        for part in ("phrases", "with_any", "unless_any"):
            if not _are_phrases(rule.get(part, [])):
                faults.append(f"{where}.{part}: must be a list of phrases, each with a letter or a digit")
        if not _is_number(rule.get("within_words", 8), 1, 50):
            faults.append(f"{where}.within_words: must be a number from 1 to 50")
    return faults


def _hours_faults(hours: Any) -> list[str]:
    if not isinstance(hours, dict):
        return ["hours: must be an object"]
    faults = _unknown(hours, "hours", _HOURS)
    try:
        ZoneInfo(str(hours.get("time_zone")))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append("hours.time_zone: must be a zone such as Europe/London")
    if type(hours.get("take_home")) is not bool:
        faults.append("hours.take_home: must be true or false")
    if hours.get("outside") not in ("monitored", "off"):
        faults.append("hours.outside: must be monitored or off")
    weekly = hours.get("weekly")
    if not isinstance(weekly, list) or not all(_is_span(one) for one in weekly):
        faults.append("hours.weekly: must be a list of days (1 is Monday) with from and to")
    holidays = hours.get("holidays")
    if not isinstance(holidays, list) or not all(_is_holiday(one) for one in holidays):
        faults.append("hours.holidays: must be a list of from and to, the first not after the last, each with a name")
    return faults


def _is_span(one: Any) -> bool:
    if not isinstance(one, dict) or one.keys() - _SPAN:
        return False
    days, begins, ends = one.get("days"), one.get("from"), one.get("to")
    right_days = isinstance(days, list) and bool(days) and all(type(day) is int and 1 <= day <= 7 for day in days)
    right_times = all(isinstance(time, str) and _CLOCK.fullmatch(time) for time in (begins, ends))
    return right_days and right_times and str(begins) < str(ends)


def _is_holiday(one: Any) -> bool:
    if not isinstance(one, dict) or one.keys() - _HOLIDAY or not _is_words(one.get("name"), 200):
        return False
    try:
        return date.fromisoformat(str(one.get("from"))) <= date.fromisoformat(str(one.get("to")))
    except ValueError:
        return False


def _words_faults(value: Any, where: str, limits: Mapping[str, int]) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: must be an object"]
    return _unknown(value, where, frozenset(limits)) + [
        f"{where}.{name}: must be text of at most {most:,} characters"
        for name, most in limits.items()
        if not _is_words(value.get(name), most)
    ]


def _unknown(value: Mapping[str, Any], where: str, known: frozenset[str]) -> list[str]:
    return [f"{where}: {name!r} is no part of it" for name in sorted(value.keys() - known)]


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(_is_words(one, 500) for one in value)


def _are_phrases(value: Any) -> bool:
    return _are_words(value) and all(any(sign.isalnum() for sign in one) for one in value)


def _is_words(value: Any, at_most: int) -> bool:
    return isinstance(value, str) and len(value.strip()) > 0 and len(value) <= at_most
