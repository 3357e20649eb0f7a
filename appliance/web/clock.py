"""The portal's edge to time and chance: what the rooms behind it are given as arguments."""

import secrets
from datetime import UTC, datetime


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def new_id() -> str:
    """A fresh id of 120 random bits, which can't be guessed or walked."""
    return secrets.token_urlsafe(15)
