"""Records about staff: low-level concerns and allegations, kept apart from everything a DSL sees.

KCSIE, Part four: allegations that meet the harm threshold, and low-level concerns that don't, are recorded and kept
confidential; one about the head goes to the chair of governors.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from appliance.safeguarding.concern import RecordError


class VaultKind(StrEnum):
    """What a record about a member of staff is."""

    LOW_LEVEL = "low_level"
    ALLEGATION = "allegation"


VAULT_KINDS: dict[VaultKind, str] = {
    VaultKind.LOW_LEVEL: "Low-level concern",
    VaultKind.ALLEGATION: "Allegation that may meet the harm threshold",
}


@dataclass(frozen=True, slots=True)
class NewVaultEntry:
    """What is entered. about_id: the person's account here, if they have one: the entry is never shown to them."""

    id: str
    academy_id: str
    kind: VaultKind
    about_id: str | None
    about_name: str
    text: str


@dataclass(frozen=True, slots=True)
class Keeper:
    """Somebody who may open the vault of an academy. leads: whether they are its head."""

    staff_id: str
    name: str
    leads: bool


_OF_NO_WEIGHT = frozenset({"a", "at", "dr", "here", "miss", "mr", "mrs", "ms", "my", "of", "our", "sir", "the"})
_HEAD = frozenset({"executive", "head", "headmaster", "headmistress", "headteacher", "principal", "school", "teacher"})
_CHAIR = frozenset({"chair", "chairman", "chairwoman", "governing", "board", "body", "governors"})


def find_keeper(typed: str, keepers: Iterable[Keeper]) -> str | None:
    """Whose account a name that was typed by hand means, where it can be that of one who opens the vault themselves.

    A part of the name is enough, or the office: an entry kept from one person too many is less harm than one shown to
    the person it is about. Raises RecordError where it could mean several.
    """
    words = frozenset(re.findall(r"\w+", typed.casefold().replace("'", "").replace("’", ""))) - _OF_NO_WEIGHT
    if not words:
        return None
    found = set()
    for keeper in keepers:
        name = frozenset(re.findall(r"\w+", keeper.name.casefold().replace("'", "").replace("’", ""))) - _OF_NO_WEIGHT
        office = _HEAD if keeper.leads else _CHAIR
        if words <= name or name <= words or words <= office:
            found.add(keeper.staff_id)
    if len(found) > 1:
        raise RecordError("This could be more than one of those who open the vault. Choose them in the list.")
    return next(iter(found), None)


def check_vault_entry(entry: NewVaultEntry, by_id: str) -> None:
    """Raise RecordError when the entry names nobody or says nothing, or is about the one who writes it."""
    if not entry.about_name.strip():
        raise RecordError("Say whom the record is about.")
    if entry.about_id == by_id:
        raise RecordError(
            "A record about yourself is for the chair of governors or the head to keep. If it is about somebody else,"
            " choose them in the list, or give their full name."
        )
    if not entry.text.strip():
        raise RecordError("Write what was reported or seen.")
