"""Single cells as schools write them: dates, yes and no, numbers, UPNs."""

import re
from datetime import date
from functools import lru_cache

from appliance.exchange.upn import UpnError, read_upn

_MONTHS = {name: n for n, name in enumerate(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1)}  # fmt: skip
_YES = frozenset({"y", "yes", "true", "t", "1", "x", "✓"})
_NO = frozenset({"n", "no", "false", "f", "0"})


def tidy(text: str | None) -> str:
    """A cell without what does not show: spaces around it, runs of spaces, control characters."""
    if not text:
        return ""
    text = " ".join(text.split())
    return text if text.isprintable() else "".join(sign for sign in text if sign.isprintable())


@lru_cache(maxsize=20_000)
def parse_date(text: str) -> date | None:
    """A date as day, month and year, or year, month and day; a time after it is left out. None for an empty cell.

    Raises ValueError with a sentence for anything else, a year of two digits included: it could be two things.
    """
    text = tidy(text)
    if not text:
        return None
    hit = re.match(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ].*)?$", text)
    if hit:
        return _day(text, int(hit[1]), int(hit[2]), int(hit[3]))
    hit = re.match(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ T].*)?$", text)
    if hit:
        return _day(text, int(hit[3]), int(hit[2]), int(hit[1]))
    hit = re.match(r"(\d{1,2})[ -]([A-Za-z]{3})[a-z]*[ -](\d{4})(?: .*)?$", text)
    if hit and hit[2].casefold() in _MONTHS:
        return _day(text, int(hit[3]), _MONTHS[hit[2].casefold()], int(hit[1]))
    raise ValueError(f"“{text[:30]}” is no date as day/month/year with four digits for the year.")


def _day(text: str, year: int, month: int, day: int) -> date:
    if not 1900 <= year <= 2100:
        raise ValueError(f"“{text[:30]}” is no date of our time.")
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"“{text[:30]}” is no day of the calendar.") from None


def parse_moment(text: str) -> str:
    """A date, with its time of day where it has one, as ISO text. Raises ValueError; an empty cell too."""
    day = parse_date(text)
    if day is None:
        raise ValueError("There is no date.")
    hit = re.search(r"[T ](\d{1,2}):(\d{2})", tidy(text))
    if hit and int(hit[1]) < 24 and int(hit[2]) < 60:
        return f"{day.isoformat()}T{int(hit[1]):02d}:{hit[2]}"
    return day.isoformat()


def parse_yes(text: str) -> bool | None:
    """Yes or no; None for anything else, an empty cell included."""
    word = text.strip().casefold()
    return True if word in _YES else False if word in _NO else None


def whole_number(text: str, otherwise: int) -> int:
    """A whole number of at most nine digits, or ``otherwise``."""
    text = text.strip()
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else otherwise


@lru_cache(maxsize=200_000)
def read_key_upn(text: str) -> tuple[str | None, tuple[str, ...]]:
    """A UPN and what is odd about it; or None and, where something is written, why it is none."""
    if not text or not text.strip():
        return None, ()
    try:
        upn = read_upn(text)
    except UpnError as error:
        return None, (f"“{tidy(text)[:20]}” is no UPN. {error}",)
    return upn.value, upn.warnings
