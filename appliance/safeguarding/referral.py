"""Passing a concern to an outside agency, and what came of it.

The fields are those common to local authorities' multi-agency referral forms; one working day is the response those
forms promise (Working Together to Safeguard Children, 2023, chapter 3: acknowledge within one working day).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.safeguarding.concern import RecordError


class Agency(StrEnum):
    """Who a concern may be referred to. AGENCIES holds the words."""

    LOCAL_AUTHORITY = "local_authority"
    POLICE = "police"
    HEALTH = "health"
    LADO = "lado"
    PREVENT = "prevent"
    CEOP = "ceop"
    OTHER = "other"


AGENCIES: dict[Agency, str] = {
    Agency.LOCAL_AUTHORITY: "Local authority (MASH, children's social care)",
    Agency.POLICE: "Police",
    Agency.HEALTH: "Health or CAMHS",
    Agency.LADO: "LADO (allegation about an adult)",
    Agency.PREVENT: "Prevent or Channel",
    Agency.CEOP: "CEOP",
    Agency.OTHER: "Another agency",
}


class Consent(StrEnum):
    """Whether the family agreed to the referral. CONSENTS holds the words."""

    GIVEN = "given"
    REFUSED = "refused"
    NOT_SOUGHT = "not_sought"


CONSENTS: dict[Consent, str] = {
    Consent.GIVEN: "Consent given",
    Consent.REFUSED: "Consent refused",
    Consent.NOT_SOUGHT: "Consent not sought: it could put the child at risk",
}

RESPONSE_WITHIN = timedelta(days=1)
"""One working day; the clock counts calendar days until term dates are known to the box."""


@dataclass(frozen=True, slots=True)
class NewReferral:
    """What a DSL writes when referring a concern. method: how it was made (telephone, online form, e-mail)."""

    id: str
    agency: Agency
    method: str
    spoken_to: str
    reason: str
    consent: Consent
    consent_reason: str = ""
    reference: str = ""


def check_referral(referral: NewReferral) -> None:
    """Raise RecordError when the reason is missing, or consent was not had and nothing says why."""
    if not referral.reason.strip():
        raise RecordError("Write why the concern is referred.")
    if referral.consent is not Consent.GIVEN and not referral.consent_reason.strip():
        raise RecordError("Say why the referral goes ahead without the family's consent.")


def response_due_at(made_at: datetime) -> datetime:
    """When the agency should have answered."""
    return made_at + RESPONSE_WITHIN
