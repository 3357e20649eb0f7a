"""Telling people of what was done to an account, so that nobody can take one over alone and unseen."""

from collections.abc import Callable, Iterable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Grant, Permission, Role, academies_for, needs_second_factor
from appliance.safeguarding.notice import Notice, NoticeKind
from appliance.store import grants, notices, people

_SECOND_PEOPLE = (Role.TRUST_LEAD, Role.HEAD, Role.CHAIR, Role.DSL)
"""Who is told beside the person, the first of these that there are: another lead, else the head, and so on."""


def opens_records(grant: Grant) -> bool:
    """Whether a role opens records or the vault, or gives such roles."""
    return needs_second_factor(Actor("", "", (grant,)))


def announce_account(
    db: Database, actor: Actor, staff_id: str, kind: NoticeKind, now: datetime, new_id: Callable[[], str]
) -> None:
    """Tell the person, and somebody else who can ask why, of what the actor did to their account. In a transaction.

    Nobody is told where the account opens no record. A person whose roles bring no notices learns it from the others.
    """
    held = [one.grant for one in grants.select_grants_of(db, staff_id) if not one.is_over(now)]
    weighty = [grant for grant in held if opens_records(grant)]
    if not weighty:
        return
    mine = academies_for(people.get_actor(db, actor.staff_id, now) or actor, Permission.ESCALATION_VIEW)
    told = {staff_id: _academy_of(db, staff_id, mine, now)}
    reached = [academy.id for academy in people.select_academies(db) if academy.id in mine]
    at = [
        academy_id
        for academy_id in reached
        if any(academy_id == one.academy_id or _is_of(db, academy_id, one.trust_id) for one in weighty)
    ]
    told |= _second_people(db, {actor.staff_id, staff_id}, at, now)
    for person_id, academy_id in sorted(told.items()):
        if academy_id:
            notice = Notice(academy_id, person_id, kind, f"staff:{staff_id}", actor.staff_id, now)
            notices.insert_notice(db, new_id(), notice)


def _second_people(db: Database, but: set[str], at: Iterable[str], now: datetime) -> dict[str, str]:
    for role in _SECOND_PEOPLE:
        found: dict[str, str] = {}
        for academy_id in at:
            for staff in people.select_staff_with_role(db, role, academy_id, now):
                if staff.id not in but:
                    found.setdefault(staff.id, academy_id)
        if found:
            return found
    return {}


def _academy_of(db: Database, staff_id: str, mine: frozenset[str], now: datetime) -> str:
    """An academy under which this person is told things, and the one who tells may write; empty where there is none."""
    person = people.get_actor(db, staff_id, now)
    theirs = academies_for(person, Permission.ESCALATION_VIEW) if person is not None else frozenset()
    return min(theirs & mine, default="")


def _is_of(db: Database, academy_id: str, trust_id: str | None) -> bool:
    return trust_id is not None and people.get_trust_of_academy(db, academy_id) == trust_id
