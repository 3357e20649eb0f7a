"""Referrals under concerns, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.referral import Agency, Consent, NewReferral
from appliance.store.connection import from_text, to_text


@dataclass(frozen=True, slots=True)
class StoredReferral:
    """A referral under a concern, and its outcome once there is one."""

    id: str
    concern_id: str
    agency: Agency
    method: str
    spoken_to: str
    reference: str
    reason: str
    consent: Consent
    consent_reason: str
    made_at: datetime
    made_by: str
    response_due_at: datetime
    outcome: str | None
    outcome_at: datetime | None
    outcome_by: str | None


def insert_referral(
    db: Database,
    concern_id: str,
    academy_id: str,
    referral: NewReferral,
    made_by: str,
    now: datetime,
    response_due_at: datetime,
) -> None:
    """Put a referral under a concern."""
    db.conn.execute(
        "INSERT INTO scoped_referral (id, concern_id, academy_id, agency, method, spoken_to, reference, reason,"
        " consent, consent_reason, made_at, made_by, response_due_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            referral.id,
            concern_id,
            academy_id,
            referral.agency,
            referral.method.strip(),
            referral.spoken_to.strip(),
            referral.reference.strip(),
            referral.reason.strip(),
            referral.consent,
            referral.consent_reason.strip(),
            to_text(now),
            made_by,
            to_text(response_due_at),
        ],
    )


def set_referral_outcome(db: Database, referral_id: str, outcome: str, recorded_by: str, now: datetime) -> None:
    """Note what came of a referral."""
    db.conn.execute(
        "UPDATE scoped_referral SET outcome = ?, outcome_at = ?, outcome_by = ? WHERE id = ?",
        [outcome.strip(), to_text(now), recorded_by, referral_id],
    )


def get_referral(db: Database, referral_id: str) -> StoredReferral | None:
    """A referral in scope."""
    return next(iter(_referrals(db, "x.id = ?", [referral_id])), None)


def select_referrals(db: Database, concern_ids: Sequence[str]) -> list[StoredReferral]:
    """The referrals under some concerns, oldest first."""
    return _referrals(db, f"x.concern_id IN ({', '.join('?' for _ in concern_ids)})", list(concern_ids))


def _referrals(db: Database, where: str, params: list[str]) -> list[StoredReferral]:
    return [
        StoredReferral(
            row["id"],
            row["concern_id"],
            Agency(row["agency"]),
            row["method"],
            row["spoken_to"],
            row["reference"],
            row["reason"],
            Consent(row["consent"]),
            row["consent_reason"],
            from_text(row["made_at"]),
            row["maker_name"],
            from_text(row["response_due_at"]),
            row["outcome"],
            from_text(row["outcome_at"]) if row["outcome_at"] else None,
            row["outcome_name"],
        )
        for row in db.query(
            "SELECT x.*, m.name AS maker_name, o.name AS outcome_name FROM scoped_referral x"
            " JOIN staff m ON m.id = x.made_by LEFT JOIN staff o ON o.id = x.outcome_by"
            f" WHERE {where} ORDER BY x.made_at, x.id",
            params,
        )
    ]
