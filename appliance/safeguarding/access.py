"""Who may do what, and where: roles, permissions, grants, and the one function that turns them into academies.

A grant gives a role at one academy or at a whole trust. Nothing is given by default: no grant is the empty set of
academies, and the empty set sees nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Permission(StrEnum):
    """One right, named ``thing:verb``. Kept in alphabetical order."""

    AUDIT_VIEW = "audit:view"
    CAPTURE_REVEAL = "capture:reveal"
    CONCERN_RECORD = "concern:record"
    CONCERN_VIEW = "concern:view"
    DEVICE_VIEW = "device:view"
    ESCALATION_ACKNOWLEDGE = "escalation:acknowledge"
    EVENT_MODERATE = "event:moderate"
    EVENT_VIEW = "event:view"
    PUPIL_VIEW = "pupil:view"
    REPORT_VIEW = "report:view"
    STAFF_VIEW = "staff:view"


class Role(StrEnum):
    """A part a person plays at an academy or a trust. ``ROLES`` holds its words and rights."""

    TRUST_LEAD = "trust_lead"
    DSL = "dsl"
    DEPUTY_DSL = "deputy_dsl"
    MODERATOR = "moderator"
    HEAD = "head"
    STAFF = "staff"
    REPORTING = "reporting"
    DPO = "dpo"
    TECHNICIAN = "technician"


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """The words for a role, as the portal shows them, and its rights."""

    title: str
    description: str
    permissions: frozenset[Permission]


_RECORD = frozenset(
    {
        Permission.CAPTURE_REVEAL,
        Permission.CONCERN_RECORD,
        Permission.CONCERN_VIEW,
        Permission.DEVICE_VIEW,
        Permission.ESCALATION_ACKNOWLEDGE,
        Permission.EVENT_MODERATE,
        Permission.EVENT_VIEW,
        Permission.PUPIL_VIEW,
        Permission.REPORT_VIEW,
        Permission.STAFF_VIEW,
    }
)

ROLES: dict[Role, RoleInfo] = {
    Role.TRUST_LEAD: RoleInfo(
        "Trust safeguarding lead",
        "Leads safeguarding over every academy of the trust, and reads its audit trail.",
        _RECORD | {Permission.AUDIT_VIEW},
    ),
    Role.DSL: RoleInfo(
        "Designated Safeguarding Lead",
        "Decides what becomes a concern at the academy, keeps the pupils' records and makes referrals.",
        _RECORD | {Permission.AUDIT_VIEW},
    ),
    Role.DEPUTY_DSL: RoleInfo(
        "Deputy DSL",
        "Does the DSL's work when the DSL is away.",
        _RECORD,
    ),
    Role.MODERATOR: RoleInfo(
        "Moderator",
        "Reads what devices raised and grades it; does not see pupils' records.",
        frozenset(
            {
                Permission.CAPTURE_REVEAL,
                Permission.DEVICE_VIEW,
                Permission.EVENT_MODERATE,
                Permission.EVENT_VIEW,
                Permission.PUPIL_VIEW,
            }
        ),
    ),
    Role.HEAD: RoleInfo(
        "Head teacher",
        "Sees the academy's safeguarding figures.",
        frozenset({Permission.REPORT_VIEW}),
    ),
    Role.STAFF: RoleInfo(
        "Member of staff",
        "May report a concern, and sees only what they reported.",
        frozenset(),
    ),
    Role.REPORTING: RoleInfo(
        "Reporting only",
        "Sees counts, and no pupil.",
        frozenset({Permission.REPORT_VIEW}),
    ),
    Role.DPO: RoleInfo(
        "Data-protection officer",
        "Reads the audit trail and answers subject access requests; does not browse cases.",
        frozenset({Permission.AUDIT_VIEW, Permission.REPORT_VIEW}),
    ),
    Role.TECHNICIAN: RoleInfo(
        "Technician",
        "Looks after devices and the box; never sees what a pupil wrote.",
        frozenset({Permission.DEVICE_VIEW}),
    ),
}


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
class Actor:
    """A person who is signed in, with the grants in force now.

    trusts: the academies of each trust on the box, so that a trust grant can be expanded.
    """

    staff_id: str
    name: str
    grants: tuple[Grant, ...] = ()
    trusts: Mapping[str, frozenset[str]] = field(default_factory=dict)


def academies_for(actor: Actor, permission: Permission) -> frozenset[str]:
    """The ids of the academies at which the actor holds the permission. Empty means none, never all."""
    found: set[str] = set()
    for grant in actor.grants:
        if permission not in ROLES[grant.role].permissions:
            continue
        if grant.academy_id is not None:
            found.add(grant.academy_id)
        elif grant.trust_id is not None:
            found |= actor.trusts.get(grant.trust_id, frozenset())
    return frozenset(found)


def may(actor: Actor, permission: Permission, academy_id: str) -> bool:
    """Whether the actor holds the permission at this academy."""
    return academy_id in academies_for(actor, permission)


class NotAllowedError(Exception):
    """The actor lacks the right at that academy. To the person it looks as if the thing did not exist."""


def require(actor: Actor, permission: Permission, academy_id: str) -> None:
    """Raise NotAllowedError unless the actor holds the permission at this academy."""
    if not may(actor, permission, academy_id):
        raise NotAllowedError(f"{permission} at that academy")
