"""Checks of a policy document that collect every fault with its place, so that its author sees all of them at once."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Any

MISSING = object()
"""Stands for a field that isn't there and has been named already."""


class PolicyError(ValueError):
    """A policy that can't be used. The message names every fault with its place in the document, one a line."""


class Checks:
    """The faults of one document. Each check gives a value of its kind, a harmless one where it found a fault."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def fault(self, where: str, what: str) -> None:
        self.faults.append(f"{where}: {what}")

    def finish(self) -> None:
        """Raises PolicyError where there was a fault."""
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
        if value is not MISSING:
            self.fault(where, "must be text, and not empty")
        return ""

    def texts(self, value: Any, where: str) -> tuple[str, ...]:
        return tuple(self.text(entry, f"{where}[{index}]") for index, entry in enumerate(self.list(value, where)))

    def list(self, value: Any, where: str, of: str = "texts") -> "list[Any]":
        if isinstance(value, list):
            return value
        if value is not MISSING:
            self.fault(where, f"must be a list of {of}")
        return []

    def number(self, value: Any, where: str, least: float, most: float) -> float:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(where, f"must be a number from {least} to {most}")
        return least

    def whole(self, value: Any, where: str, least: int, most: int) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(where, f"must be a whole number from {least} to {most}")
        return least

    def flag(self, value: Any, where: str) -> bool:
        if value is not True and value is not False and value is not MISSING:
            self.fault(where, "must be true or false")
        return value is True

    def one_of(self, value: Any, where: str, values: Collection[str]) -> str:
        if isinstance(value, str) and value in values:
            return value
        if value is not MISSING:
            self.fault(where, f"must be one of {', '.join(values)}")
        return next(iter(values))

    def time(self, value: Any, where: str) -> datetime:
        """An ISO 8601 time with its offset, in UTC."""
        try:
            time = datetime.fromisoformat(value)
            if time.tzinfo is not None:
                return time.astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            pass
        self.fault(where, "must be an ISO 8601 time with its offset")
        return datetime.fromtimestamp(0, UTC)

    def day(self, value: Any, where: str) -> date:
        try:
            return date.fromisoformat(value)
        except (TypeError, ValueError):
            if value is not MISSING:
                self.fault(where, "must be a date, YYYY-MM-DD")
        return date.min
