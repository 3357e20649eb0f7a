"""The roles of a trust: the words the portal shows for each, where it can be given, and the rights it brings."""

from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """One right, named ``thing:verb``. Kept in alphabetical order."""

    ACADEMY_MANAGE = "academy:manage"
    AUDIT_EXPORT = "audit:export"
    AUDIT_VIEW = "audit:view"
    CAPTURE_REVEAL = "capture:reveal"
    CONCERN_RECORD = "concern:record"
    CONCERN_REPORT = "concern:report"
    CONCERN_VIEW = "concern:view"
    DEVICE_MANAGE = "device:manage"
    DEVICE_VIEW = "device:view"
    ESCALATION_ACKNOWLEDGE = "escalation:acknowledge"
    ESCALATION_VIEW = "escalation:view"
    EVENT_MODERATE = "event:moderate"
    EVENT_VIEW = "event:view"
    PUPIL_IMPORT = "pupil:import"
    PUPIL_VIEW = "pupil:view"
    RECORD_LOCK = "record:lock"
    RECORD_OPEN = "record:open"
    REPORT_VIEW = "report:view"
    STAFF_INVITE = "staff:invite"
    STAFF_MANAGE = "staff:manage"
    STAFF_VIEW = "staff:view"
    VAULT_RECORD = "vault:record"
    VAULT_VIEW = "vault:view"


PUPIL_CONTENT = frozenset(
    {
        Permission.AUDIT_VIEW,
        Permission.CAPTURE_REVEAL,
        Permission.CONCERN_VIEW,
        Permission.EVENT_VIEW,
        Permission.PUPIL_IMPORT,
        Permission.PUPIL_VIEW,
        Permission.STAFF_MANAGE,
        Permission.VAULT_VIEW,
    }
)
"""Rights that show what was written of or by a pupil, who looked at it, or staff's own records; or that give such."""


class Role(StrEnum):
    """A part a person plays at an academy or a trust. ``ROLES`` holds its words and rights."""

    TRUST_LEAD = "trust_lead"
    DSL = "dsl"
    DEPUTY_DSL = "deputy_dsl"
    MODERATOR = "moderator"
    HEAD = "head"
    CHAIR = "chair"
    STAFF = "staff"
    REPORTING = "reporting"
    DPO = "dpo"
    TECHNICIAN = "technician"


class Place(StrEnum):
    """Where a role can be given."""

    TRUST = "trust"
    ACADEMY = "academy"


@dataclass(frozen=True, slots=True)
class RoleInfo:
    """The words for a role, as the portal shows them, and its rights.

    permissions: held over every record of the academies the grant reaches. on_opening: held only over a record that
    the person opened by giving a reason, and only until that lapses.
    """

    title: str
    description: str
    permissions: frozenset[Permission]
    places: frozenset[Place] = frozenset(Place)
    on_opening: frozenset[Permission] = frozenset()


_AT_AN_ACADEMY = frozenset({Place.ACADEMY})
_AT_A_TRUST = frozenset({Place.TRUST})

_RECORD = frozenset(
    {
        Permission.CAPTURE_REVEAL,
        Permission.CONCERN_RECORD,
        Permission.CONCERN_REPORT,
        Permission.CONCERN_VIEW,
        Permission.DEVICE_VIEW,
        Permission.ESCALATION_ACKNOWLEDGE,
        Permission.ESCALATION_VIEW,
        Permission.EVENT_MODERATE,
        Permission.EVENT_VIEW,
        Permission.PUPIL_VIEW,
        Permission.RECORD_LOCK,
        Permission.RECORD_OPEN,
        Permission.REPORT_VIEW,
        Permission.STAFF_VIEW,
    }
)

ROLES: dict[Role, RoleInfo] = {
    Role.TRUST_LEAD: RoleInfo(
        "Trust safeguarding lead",
        "Leads safeguarding over every academy of the trust: sees figures, gives roles, reads the audit trail, and"
        " opens one pupil's record by giving a reason.",
        frozenset(
            {
                Permission.ACADEMY_MANAGE,
                Permission.AUDIT_EXPORT,
                Permission.AUDIT_VIEW,
                Permission.DEVICE_MANAGE,
                Permission.DEVICE_VIEW,
                Permission.ESCALATION_ACKNOWLEDGE,
                Permission.ESCALATION_VIEW,
                Permission.PUPIL_IMPORT,
                Permission.PUPIL_VIEW,
                Permission.RECORD_OPEN,
                Permission.REPORT_VIEW,
                Permission.STAFF_INVITE,
                Permission.STAFF_MANAGE,
                Permission.STAFF_VIEW,
            }
        ),
        _AT_A_TRUST,
        frozenset(
            {
                Permission.CAPTURE_REVEAL,
                Permission.CONCERN_RECORD,
                Permission.CONCERN_VIEW,
                Permission.EVENT_VIEW,
                Permission.RECORD_LOCK,
            }
        ),
    ),
    Role.DSL: RoleInfo(
        "Designated Safeguarding Lead",
        "Decides what becomes a concern at the academy, keeps and can lock the pupils' records, makes referrals, and"
        " brings pupils in from the MIS, and invites members of staff.",
        _RECORD | {Permission.AUDIT_EXPORT, Permission.AUDIT_VIEW, Permission.PUPIL_IMPORT, Permission.STAFF_INVITE},
        _AT_AN_ACADEMY,
    ),
    Role.DEPUTY_DSL: RoleInfo(
        "Deputy DSL",
        "Does the DSL's work with the pupils' records when the DSL is away.",
        _RECORD,
        _AT_AN_ACADEMY,
    ),
    Role.MODERATOR: RoleInfo(
        "Moderator",
        "Reads what devices raised and grades it; does not see pupils' records.",
        frozenset(
            {
                Permission.CAPTURE_REVEAL,
                Permission.CONCERN_REPORT,
                Permission.DEVICE_VIEW,
                Permission.ESCALATION_VIEW,
                Permission.EVENT_MODERATE,
                Permission.EVENT_VIEW,
                Permission.PUPIL_VIEW,
            }
        ),
    ),
    Role.HEAD: RoleInfo(
        "Head teacher",
        "Sees the academy's safeguarding figures, and keeps the vault of records about staff.",
        frozenset(
            {
                Permission.CONCERN_REPORT,
                Permission.ESCALATION_VIEW,
                Permission.REPORT_VIEW,
                Permission.VAULT_RECORD,
                Permission.VAULT_VIEW,
            }
        ),
        _AT_AN_ACADEMY,
    ),
    Role.CHAIR: RoleInfo(
        "Chair of governors",
        "Sees the figures and the vault of records about staff, those about the head teacher included.",
        frozenset(
            {
                Permission.ESCALATION_VIEW,
                Permission.REPORT_VIEW,
                Permission.VAULT_RECORD,
                Permission.VAULT_VIEW,
            }
        ),
        _AT_AN_ACADEMY,
    ),
    Role.STAFF: RoleInfo(
        "Member of staff",
        "May report a concern, and sees only what they reported.",
        frozenset({Permission.CONCERN_REPORT}),
        _AT_AN_ACADEMY,
    ),
    Role.REPORTING: RoleInfo(
        "Reporting only",
        "Sees counts, and no pupil.",
        frozenset({Permission.REPORT_VIEW}),
    ),
    Role.DPO: RoleInfo(
        "Data-protection officer",
        "Reads the audit trail, answers subject access requests and watches over retention; does not browse cases.",
        frozenset(
            {
                Permission.AUDIT_EXPORT,
                Permission.AUDIT_VIEW,
                Permission.PUPIL_VIEW,
                Permission.REPORT_VIEW,
                Permission.STAFF_VIEW,
            }
        ),
    ),
    Role.TECHNICIAN: RoleInfo(
        "Technician",
        "Looks after devices and the box: enrols devices, shuts lost ones out, and never sees what a pupil wrote.",
        frozenset({Permission.DEVICE_MANAGE, Permission.DEVICE_VIEW}),
    ),
}
