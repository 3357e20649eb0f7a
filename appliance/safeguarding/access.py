"""Who may do what, and where: roles, permissions, grants, and the one function that turns them into academies.

A grant gives a role at one academy or at a whole trust. Nothing is given by default: no grant is the empty set of
academies, and the empty set sees nothing. The roles themselves, with their words and rights, are in ``roles.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from appliance.safeguarding.roles import PUPIL_CONTENT, ROLES, Permission, Place, Role, RoleInfo

__all__ = [
    "NEVER_NARROWED",
    "OPENING_LASTS",
    "ROLES",
    "Actor",
    "Grant",
    "GrantError",
    "Lock",
    "NotAllowedError",
    "Opening",
    "Permission",
    "Place",
    "Role",
    "RoleInfo",
    "academies_for",
    "check_grant",
    "is_trust_wide",
    "may",
    "may_give",
    "narrow",
    "needs_second_factor",
    "places_of",
    "reachable_academies",
    "require",
    "sees_record",
    "shut_records",
    "standing_academies_for",
    "trusts_for",
]

OPENING_LASTS = timedelta(hours=8)
"""How long a record that was opened with a reason stays open to the person who gave it: one working day."""

NEVER_NARROWED = frozenset({Permission.ESCALATION_VIEW})
"""What the switcher leaves alone: a person looking at one academy must still see that another one calls them."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A role at a trust or at one academy. Exactly one of trust_id and academy_id is set."""

    role: Role
    trust_id: str | None = None
    academy_id: str | None = None

    def __post_init__(self) -> None:
        if (self.trust_id is None) == (self.academy_id is None):
            raise ValueError("a grant is at one trust or at one academy")


@dataclass(frozen=True, slots=True)
class Opening:
    """One record that a person has opened with a reason, and may read until it lapses.

    subject_id: a pupil's id; an event's where nobody is known for it; or a locked concern's.
    """

    academy_id: str
    subject_id: str


@dataclass(frozen=True, slots=True)
class Lock:
    """A pupil's or a concern's record that only some people may open.

    names: the staff it is open to. held: whether one of those still is DSL or deputy there, or the trust's lead.
    """

    academy_id: str
    subject_id: str
    names: frozenset[str]
    held: bool


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who is signed in, with the grants in force now.

    trusts: the academies of each trust on the box, so that a trust grant can be expanded. openings: records opened
    with a reason that has not lapsed. shut: ids of pupils and concerns that are locked to others. narrowed_to: the one
    academy they chose to look at.
    """

    staff_id: str
    name: str
    grants: tuple[Grant, ...] = ()
    trusts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    openings: tuple[Opening, ...] = ()
    shut: frozenset[str] = frozenset()
    narrowed_to: str | None = None


def _places(actor: Actor, grant: Grant) -> frozenset[str]:
    if grant.academy_id is not None:
        return frozenset({grant.academy_id})
    return actor.trusts.get(grant.trust_id or "", frozenset())


def _narrowed(actor: Actor, permission: Permission, academies: set[str]) -> frozenset[str]:
    if actor.narrowed_to is None or permission in NEVER_NARROWED:
        return frozenset(academies)
    return frozenset(academies & {actor.narrowed_to})


def standing_academies_for(actor: Actor, permission: Permission) -> frozenset[str]:
    """The academies at which the actor holds the permission over every record, with no reason to be given first."""
    found: set[str] = set()
    for grant in actor.grants:
        if permission in ROLES[grant.role].permissions:
            found |= _places(actor, grant)
    return _narrowed(actor, permission, found)


def academies_for(actor: Actor, permission: Permission) -> frozenset[str]:
    """The ids of the academies at which the actor holds the permission. Empty means none, never all.

    Where a role gives it only over opened records, an academy counts while one of its records is open to the actor;
    which records those are, the store's views know.
    """
    found = set(standing_academies_for(actor, permission))
    opened = {opening.academy_id for opening in actor.openings}
    for grant in actor.grants:
        if permission in ROLES[grant.role].on_opening:
            found |= _places(actor, grant) & opened
    return _narrowed(actor, permission, found)


def trusts_for(actor: Actor, permission: Permission) -> frozenset[str]:
    """The trusts over the whole of which the actor holds the permission; none while narrowed to one academy."""
    if actor.narrowed_to is not None:
        return frozenset()
    held = (grant for grant in actor.grants if permission in ROLES[grant.role].permissions)
    return frozenset(grant.trust_id for grant in held if grant.trust_id is not None)


def reachable_academies(actor: Actor) -> frozenset[str]:
    """Every academy that one of the actor's grants reaches, narrowed or not: what the switcher offers."""
    return frozenset().union(*(_places(actor, grant) for grant in actor.grants))


def places_of(actor: Actor) -> tuple[str, ...]:
    """The academies and trusts where the actor has a role: where it is told what they did without naming an academy."""
    return tuple(sorted({grant.academy_id or grant.trust_id or "" for grant in actor.grants}))


def narrow(actor: Actor, academy_id: str | None) -> Actor:
    """The actor looking at one academy only. One out of their reach is ignored: narrowing never widens."""
    return replace(actor, narrowed_to=academy_id if academy_id in reachable_academies(actor) else None)


def may(actor: Actor, permission: Permission, academy_id: str) -> bool:
    """Whether the actor holds the permission at this academy."""
    return academy_id in academies_for(actor, permission)


def sees_record(actor: Actor, permission: Permission, academy_id: str, subject_id: str) -> bool:
    """Whether the actor holds the permission over this one record: it is not shut to them, and is open if it must be.

    The store's views hold the same rule over rows; this is for what a page offers.
    """
    if subject_id in actor.shut:
        return False
    if academy_id in standing_academies_for(actor, permission):
        return True
    return may(actor, permission, academy_id) and Opening(academy_id, subject_id) in actor.openings


def shut_records(actor: Actor, locks: tuple[Lock, ...]) -> frozenset[str]:
    """The locked records that are shut to the actor: they are not named, and have not broken the glass.

    A lock whose named people have all left falls to the academy's DSLs: no child's record is open to nobody.
    """
    opened = {opening.subject_id for opening in actor.openings}
    dsl_at = {grant.academy_id for grant in actor.grants if grant.role is Role.DSL}
    return frozenset(
        lock.subject_id
        for lock in locks
        if actor.staff_id not in lock.names
        and lock.subject_id not in opened
        and (lock.held or lock.academy_id not in dsl_at)
    )


def needs_second_factor(actor: Actor) -> bool:
    """Whether the actor must prove a second factor: any role held can show what was written of or by a pupil."""
    return any((ROLES[grant.role].permissions | ROLES[grant.role].on_opening) & PUPIL_CONTENT for grant in actor.grants)


class NotAllowedError(Exception):
    """The actor lacks the right at that academy. To the person it looks as if the thing did not exist."""


def require(actor: Actor, permission: Permission, academy_id: str) -> None:
    """Raise NotAllowedError unless the actor holds the permission at this academy."""
    if not may(actor, permission, academy_id):
        raise NotAllowedError(f"{permission} at that academy")


class GrantError(ValueError):
    """A grant that can't be given or ended. The message tells the person why."""


def is_trust_wide(actor: Actor, permission: Permission, trust_id: str) -> bool:
    """Whether the actor holds the permission over the whole trust."""
    return trust_id in trusts_for(actor, permission)


def may_give(actor: Actor, grant: Grant) -> bool:
    """Whether the actor may give or end this grant: never beyond their own reach.

    STAFF_MANAGE reaches as far as the grant that gives it; STAFF_INVITE reaches only the role of a member of staff, at
    the actor's own academy.
    """
    if grant.trust_id is not None:
        return is_trust_wide(actor, Permission.STAFF_MANAGE, grant.trust_id)
    academy_id = grant.academy_id or ""
    if may(actor, Permission.STAFF_MANAGE, academy_id):
        return True
    return grant.role is Role.STAFF and may(actor, Permission.STAFF_INVITE, academy_id)


def check_grant(
    actor: Actor, staff_id: str, grant: Grant, starts_at: datetime, ends_at: datetime | None, now: datetime
) -> None:
    """Raise GrantError unless the actor may give this grant to this person, or NotAllowedError where it is not theirs.

    Nobody gives a right to themselves, or one that reaches further than they do.
    """
    if not may_give(actor, grant):
        raise NotAllowedError("a grant beyond the giver's own reach")
    if staff_id == actor.staff_id:
        raise GrantError("Nobody can give a role to themselves. Ask another safeguarding lead of the trust.")
    place = Place.TRUST if grant.trust_id is not None else Place.ACADEMY
    if place not in ROLES[grant.role].places:
        where = "a whole trust" if place is Place.TRUST else "a single academy"
        raise GrantError(f"The role “{ROLES[grant.role].title}” can't be given at {where}.")
    if ends_at is not None and (ends_at <= starts_at or ends_at <= now):
        raise GrantError("The last day must not be before the first, or already past.")
