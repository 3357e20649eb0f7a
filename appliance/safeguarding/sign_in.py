"""The rules of signing in: what a session still owes, which codes count, how long to wait after wrong tries.

No rule here locks an account. Tries are counted by where they come from, and a person's own device has an allowance
of its own, so that nobody can keep a DSL out by giving wrong passwords for her.
"""

import hashlib
import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

IDLE_LIMIT = timedelta(minutes=15)
"""After this long without a request a session is locked, until the second factor is given again."""

SESSION_LIMIT = timedelta(hours=10)
"""A session ends this long after it began, however busy it is: a school's day."""

FRESH_LIMIT = timedelta(minutes=10)
"""How lately the second factor must have been given before ways of signing in may be changed."""

CHALLENGE_LIFE = timedelta(minutes=5)
INVITATION_LIFE = timedelta(hours=72)
KNOWN_DEVICE_LIFE = timedelta(days=180)

DIRECTORY_METHODS = frozenset({"oidc", "ldap"})
"""Ways of signing in that are the trust's directory's own."""

CODE_SECONDS = 30
"""How long one code of an authenticator app lasts (RFC 6238, section 5.2)."""

SESSION_TRIES = 6
"""Wrong second factors after which a session ends, so that the password must be given again."""

RECOVERY_CODES = 10
_RECOVERY_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789a"
"""32 letters and digits that can't be taken for one another; ``a`` stands twice to make the count even."""


class Step(StrEnum):
    """What a session must do before it may open pages."""

    SIGN_IN = "sign_in"
    SECOND_FACTOR = "second_factor"
    ENROL = "enrol"
    UNLOCK = "unlock"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Session:
    """One person at one browser.

    id: hex SHA-256 of the token in the cookie. method: how the first factor was given. proved_at: when the person
    last proved who they are, with whatever they have.
    """

    id: str
    staff_id: str
    method: str
    begun_at: datetime
    seen_at: datetime
    proved_at: datetime
    second_factor_at: datetime | None
    locked_at: datetime | None
    ended_at: datetime | None
    failures: int
    address: str
    browser: str

    @property
    def directory_gave_factor(self) -> bool:
        """Whether the trust's directory vouched for a second factor as this session began, and none was given since."""
        return self.method in DIRECTORY_METHODS and self.second_factor_at == self.begun_at


def next_step(session: Session | None, needs_factor: bool, has_factor: bool, now: datetime) -> Step:
    """What the session owes now.

    needs_factor: whether the person's roles ask for a second factor. has_factor: whether the person has one; who has
    one is asked for it, needed or not. Who needs one and has none (it was removed, or the directory's counted) has
    nothing to unlock with, and signs in anew: a password alone never opens what needs two factors.
    """
    if session is None or session.ended_at is not None or now - session.begun_at >= SESSION_LIMIT:
        return Step.SIGN_IN
    shut = now - session.seen_at >= IDLE_LIMIT or session.locked_at is not None
    if needs_factor and not has_factor:
        if shut:
            return Step.SIGN_IN
        return Step.OPEN if session.directory_gave_factor else Step.ENROL
    if has_factor and session.second_factor_at is None:
        return Step.SIGN_IN if now - session.seen_at >= IDLE_LIMIT else Step.SECOND_FACTOR
    return Step.UNLOCK if shut else Step.OPEN


def is_fresh(session: Session, now: datetime) -> bool:
    """Whether the person proved who they are so lately that ways of signing in may be changed."""
    return now - session.proved_at < FRESH_LIMIT


# ---- how often one may try ----


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many wrong tries are free within the window, and how the wait grows after that."""

    free: int
    window: timedelta = timedelta(hours=1)
    first_wait: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(minutes=15)


HERE = Allowance(5)
"""One account from one address."""

ADDRESS = Allowance(50)
"""All accounts from one address, or from the IPv6 /64 that one host may roam in: enough for a staff room behind one
address, too few for trying passwords on all."""

KNOWN_DEVICE = Allowance(10, longest_wait=timedelta(minutes=5))
"""One account from a device where this person has signed in before; nobody else can use it up."""

SECOND_FACTOR_ANYWHERE = Allowance(30)
"""One account's second factor from all devices not known. Only who has the password already gets this far."""

LONGEST_WINDOW = max(one.window for one in (HERE, ADDRESS, KNOWN_DEVICE, SECOND_FACTOR_ANYWHERE))


def wait_until(failures: int, last_at: datetime | None, allowance: Allowance) -> datetime | None:
    """When the next try is allowed after so many failures, the last of them at that time; None when at once."""
    if last_at is None or failures < allowance.free:
        return None
    wait = allowance.first_wait * (1 << min(failures - allowance.free, 20))
    return last_at + min(wait, allowance.longest_wait)


def address_key(address: str) -> str:
    """What tries for one account from an address are counted under: the address itself, in one way of writing it.

    Not the network: else whoever sits in a DSL's own /64 could use up her tries.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed).partition("%")[0]


def network_key(address: str) -> str:
    """What tries for all accounts are counted under: the address, or the /64 that one IPv6 host may roam in."""
    key = address_key(address)
    return str(ipaddress.ip_network((key, 64), strict=False)) if ":" in key else key


def account_key(email: str) -> str:
    """What tries for an account are counted under: a hash, because people type passwords into the wrong field."""
    return digest(email.strip().lower())


# ---- codes ----


def digest(token: str) -> str:
    """Hex SHA-256 of a long random token, which is all the box keeps of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def code_step(at: datetime) -> int:
    """The number of the 30-second step that a time falls in (RFC 6238)."""
    return int(at.timestamp()) // CODE_SECONDS


def steps_accepted(now: datetime, last_step: int | None) -> list[int]:
    """The steps whose code counts now: this one and one to either side, but none up to the last one used."""
    current = code_step(now)
    return [step for step in (current, current - 1, current + 1) if last_step is None or step > last_step]


def plain_code(answer: str) -> str:
    """What was typed as a code, without the spaces and dashes people put in."""
    return re.sub(r"[\s-]", "", answer).lower()


def recovery_code(chance: bytes) -> str:
    """A recovery code of 16 letters from 16 random bytes, in groups of four: 79 bits."""
    letters = "".join(_RECOVERY_LETTERS[byte % 32] for byte in chance[:16])
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


def recovery_digest(staff_id: str, code: str) -> str:
    """What is kept of a recovery code."""
    return digest(f"{staff_id} {plain_code(code)}")


# ---- passwords ----

PASSWORD_SHORTEST = 12
PASSWORD_LONGEST = 200
_DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_LEET = str.maketrans("013457@$!", "oieastasi")


def password_problem(password: str, about: Collection[str], common: Collection[str]) -> str | None:
    """What is wrong with a new password, in words for its owner, or None.

    about: the person's name, e-mail address and the like. common: passwords that are tried first, in lower case.
    Length and a list of known ones, no rules about signs: NIST SP 800-63B, 5.1.1.2, and NCSC's "three random words".
    """
    if len(password) < PASSWORD_SHORTEST:
        return f"Use at least {PASSWORD_SHORTEST} letters or signs. Three random words make a good password."
    if len(password) > PASSWORD_LONGEST:
        return f"Use at most {PASSWORD_LONGEST} letters or signs."
    lower = password.lower()
    if len(set(lower)) < 5 or any(lower in run for run in _RUNS):
        return "This is one sign or one row of keys over and over. Three random words make a good password."
    bare = _DECORATION.sub("", lower)
    for form in {lower, bare, lower.translate(_LEET), _DECORATION.sub("", bare.translate(_LEET))}:
        if form in common or any(form == word * (len(form) // len(word)) for word in common if word):
            return "This password is one of those that are tried first. Three random words make a good password."
    own = {part for text in about for part in re.split(r"[\W_]+", text.lower()) if len(part) > 3}
    if any(len(lower.replace(part, "")) < PASSWORD_SHORTEST - 4 for part in own if part in lower):
        return "This password is mostly your name or address, which others know. Use words that say nothing of you."
    return None


_ROWS = (
    "1234567890",
    "0123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "qwertyuiopasdfghjklzxcvbnm",
)
_RUNS = tuple(run * 8 for row in _ROWS for run in (row, row[::-1]))
