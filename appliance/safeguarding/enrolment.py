"""Enrolment codes: what lets one device onto the box, once, for a day, at one academy."""

import hashlib
import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.safeguarding.sign_in import Allowance

CODE_LASTS = timedelta(hours=24)
CODE_CHANCE = 32
"""Random bytes that a code is made of; more than it needs, as some fall outside the alphabet."""

ENROLMENT_TRIES = Allowance(20, longest_wait=timedelta(minutes=5))
"""Wrong codes from one address. A school's devices come from one address, so right ones cost nothing."""

RENEWALS_A_DAY = 5
"""Certificates a device may ask for within a day; beyond that something is wrong with it."""

NAME_AT_MOST = 64
_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""31 letters and digits that can't be taken for one another: no 0, O, 1, I or L. Twelve of them have 59 bits."""


class DeviceKind(StrEnum):
    """What a device is to the broker: a machine with a certificate, or a browser with a token."""

    DESKTOP = "desktop"
    BROWSER = "browser"


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """A code as the box keeps it: id is its digest, never the code. place, prefix: for the device that uses it."""

    id: str
    academy_id: str
    place: str
    prefix: str
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    device_id: str | None = None
    withdrawn_at: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        """Whether a device may still use it."""
        return self.used_at is None and self.withdrawn_at is None and now < self.expires_at


def make_code(chance: bytes) -> str:
    """A code such as ABCD-EFGH-JKLM of CODE_CHANCE random bytes; each sign is as likely as any other."""
    whole = 256 - 256 % len(_LETTERS)
    signs = [_LETTERS[byte % len(_LETTERS)] for byte in chance if byte < whole][:12]
    if len(signs) < 12:
        raise ValueError("more random bytes are wanted")
    text = "".join(signs)
    return f"{text[:4]}-{text[4:8]}-{text[8:]}"


def code_digest(code: str) -> str:
    """What is kept of a code. Written with or without dashes, in small or capital letters, it is the same code."""
    plain = re.sub(r"[\s-]", "", code).upper()
    return hashlib.sha256(f"enrolment {plain}".encode()).hexdigest()


def slug(text: str) -> str:
    """A name as part of a device's id: letters, digits and single dashes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")


def make_device_id(prefix: str, name: str, taken: Container[str]) -> str:
    """A device's id, at most 64 characters, none of ``taken``; it always holds a dash, as no reserved one does."""
    first = f"{slug(prefix)[:24].strip('-') or 'device'}-{slug(name) or 'device'}"[:NAME_AT_MOST].strip("-")
    first = first if "-" in first else f"{first}-device"
    made, number = first, 1
    while made in taken:
        number += 1
        ending = f"-{number}"
        made = first[: NAME_AT_MOST - len(ending)].rstrip("-") + ending
    return made
