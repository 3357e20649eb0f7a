"""Sessions, tries at signing in, the devices a person is known on, and invitations. Only hashes of tokens are kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.sign_in import Session
from appliance.store.connection import from_text, to_text


def _time(text: str | None) -> datetime | None:
    return from_text(text) if text else None


def _session(row: dict[str, Any]) -> Session:
    return Session(
        row["id"],
        row["staff_id"],
        row["method"],
        from_text(row["begun_at"]),
        from_text(row["seen_at"]),
        from_text(row["proved_at"]),
        _time(row["second_factor_at"]),
        _time(row["locked_at"]),
        _time(row["ended_at"]),
        row["failures"],
        row["address"],
        row["browser"],
    )


# ---- sessions ----


def insert_session(db: Database, session: Session) -> None:
    """Begin a session."""
    db.conn.execute(
        "INSERT INTO session (id, staff_id, method, begun_at, seen_at, proved_at, second_factor_at, failures, address,"
        " browser) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        [
            session.id,
            session.staff_id,
            session.method,
            to_text(session.begun_at),
            to_text(session.seen_at),
            to_text(session.proved_at),
            to_text(session.second_factor_at) if session.second_factor_at else None,
            session.address,
            session.browser,
        ],
    )


def get_session(db: Database, session_id: str) -> Session | None:
    """The session, ended or not."""
    return next((_session(row) for row in db.query("SELECT * FROM session WHERE id = ?", [session_id])), None)


def select_sessions(db: Database, staff_id: str, begun_after: datetime) -> list[Session]:
    """The sessions of a person that have not ended, the latest used first."""
    rows = db.query(
        "SELECT * FROM session WHERE staff_id = ? AND ended_at IS NULL AND begun_at > ? ORDER BY seen_at DESC",
        [staff_id, to_text(begun_after)],
    )
    return [_session(row) for row in rows]


def set_session_seen(db: Database, session_id: str, now: datetime) -> None:
    """Note that the session is in use."""
    db.conn.execute("UPDATE session SET seen_at = ? WHERE id = ?", [to_text(now), session_id])


def set_session_locked(db: Database, session_id: str, now: datetime) -> bool:
    """Lock a session. Returns whether it was open before."""
    done = db.conn.execute(
        "UPDATE session SET locked_at = ? WHERE id = ? AND locked_at IS NULL AND ended_at IS NULL",
        [to_text(now), session_id],
    )
    return done.rowcount == 1


def set_session_stepped_up(db: Database, session_id: str, new_id: str, factor: bool, now: datetime) -> bool:
    """Give a session that was proved anew another id, and unlock it. factor: with a second factor.

    Returns False when it has ended, or moved on, meanwhile.
    """
    done = db.conn.execute(
        "UPDATE session SET id = :new, second_factor_at = CASE WHEN :factor THEN :now ELSE second_factor_at END,"
        " seen_at = :now, proved_at = :now, locked_at = NULL, failures = 0 WHERE id = :id AND ended_at IS NULL",
        {"new": new_id, "factor": factor, "now": to_text(now), "id": session_id},
    )
    return done.rowcount == 1


def set_session_failed(db: Database, session_id: str) -> int:
    """Note a wrong second factor. Returns how many there were."""
    db.conn.execute("UPDATE session SET failures = failures + 1 WHERE id = ?", [session_id])
    row = db.conn.execute("SELECT failures FROM session WHERE id = ?", [session_id]).fetchone()
    return int(row[0]) if row else 0


def set_session_ended(db: Database, session_id: str, staff_id: str, now: datetime) -> bool:
    """End one session of a person. Returns whether it was theirs and had not ended."""
    done = db.conn.execute(
        "UPDATE session SET ended_at = ? WHERE id = ? AND staff_id = ? AND ended_at IS NULL",
        [to_text(now), session_id, staff_id],
    )
    return done.rowcount == 1


def set_all_sessions_ended(db: Database, staff_id: str, now: datetime, but: str = "") -> int:
    """End all of a person's sessions, except one when named. Returns how many."""
    done = db.conn.execute(
        "UPDATE session SET ended_at = ? WHERE staff_id = ? AND ended_at IS NULL AND id <> ?",
        [to_text(now), staff_id, but],
    )
    return done.rowcount


def delete_old_sessions(db: Database, before: datetime) -> None:
    """Forget sessions that ended long ago; that they were is in the audit."""
    db.conn.execute("DELETE FROM session WHERE begun_at < ?", [to_text(before)])


# ---- tries ----


@dataclass(frozen=True, slots=True)
class Failures:
    """How many tries failed, and when the last of them was."""

    count: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try. address and network: what tries for one account, and for all, are counted under. device: hash, or None."""

    id: str
    kind: str
    address: str
    network: str
    account: str
    device: str | None


def insert_attempt(db: Database, attempt: Attempt, now: datetime) -> None:
    """Note a try. It counts as failed until ``set_attempt_good`` says otherwise."""
    db.conn.execute(
        "INSERT INTO attempt (id, kind, address, network, account, device, at, good) VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
        [
            attempt.id,
            attempt.kind,
            attempt.address,
            attempt.network,
            attempt.account,
            attempt.device,
            to_text(now),
        ],
    )


def set_attempt_good(db: Database, attempt_id: str) -> None:
    """Note that a try was right."""
    db.conn.execute("UPDATE attempt SET good = 1 WHERE id = ?", [attempt_id])


def delete_attempts(db: Database, before: datetime) -> None:
    """Forget old tries."""
    db.conn.execute("DELETE FROM attempt WHERE at < ?", [to_text(before)])


def _count(db: Database, where: str, values: dict[str, str | None], since: datetime, forgiven: bool) -> Failures:
    after = "at > :since"
    if forgiven:
        after += f" AND at > coalesce((SELECT max(at) FROM attempt WHERE {where} AND good = 1), '')"
    count, last = db.conn.execute(
        f"SELECT count(*), max(at) FROM attempt WHERE {where} AND good = 0 AND {after}",
        {**values, "since": to_text(since)},
    ).fetchone()
    return Failures(count, _time(last))


def count_failures_here(db: Database, kind: str, address: str, account: str, since: datetime) -> Failures:
    """Failures for one account from one address, by devices not known, since the last good try there."""
    where = "kind = :kind AND address = :address AND account = :account AND device IS NULL"
    return _count(db, where, {"kind": kind, "address": address, "account": account}, since, forgiven=True)


def count_failures_on_device(db: Database, kind: str, device: str, account: str, since: datetime) -> Failures:
    """Failures for one account on one known device since the last good try on it."""
    where = "kind = :kind AND device = :device AND account = :account"
    return _count(db, where, {"kind": kind, "device": device, "account": account}, since, forgiven=True)


def count_failures_of_network(db: Database, network: str, since: datetime) -> Failures:
    """Failures of any kind for any account from one network, by devices not known. A good try forgives nothing."""
    return _count(db, "network = :network AND device IS NULL", {"network": network}, since, forgiven=False)


def count_failures_anywhere(db: Database, kind: str, account: str, since: datetime) -> Failures:
    """Failures for one account from anywhere, by devices not known. A good try forgives nothing."""
    where = "kind = :kind AND account = :account AND device IS NULL"
    return _count(db, where, {"kind": kind, "account": account}, since, forgiven=False)


# ---- known devices ----


def set_device_known(db: Database, device: str, staff_id: str, now: datetime) -> None:
    """Note that the person signed in fully on the device. device: the hash of its cookie."""
    db.conn.execute(
        "INSERT INTO known_device (id, staff_id, first_at, last_at) VALUES (:id, :staff, :now, :now)"
        " ON CONFLICT (id, staff_id) DO UPDATE SET last_at = :now",
        {"id": device, "staff": staff_id, "now": to_text(now)},
    )


def is_device_known(db: Database, device: str, staff_id: str, since: datetime) -> bool:
    """Whether the person signed in fully on the device lately."""
    row = db.conn.execute(
        "SELECT 1 FROM known_device WHERE id = ? AND staff_id = ? AND last_at > ?", [device, staff_id, to_text(since)]
    ).fetchone()
    return row is not None


def delete_known_devices(db: Database, staff_id: str) -> None:
    """Forget where the person signed in."""
    db.conn.execute("DELETE FROM known_device WHERE staff_id = ?", [staff_id])


# ---- invitations ----


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link by which one person makes their account, or makes it anew.

    staff_id: None in a link for a trust's first lead. trust_id: in such a link, the trust, if it is on the box. anew:
    whether all that led into the account before was taken away as the link was made.
    """

    id: str
    staff_id: str | None
    made_by: str
    made_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    withdrawn_at: datetime | None = None
    trust_id: str | None = None
    anew: bool = False


def insert_invitation(db: Database, invitation: Invitation) -> None:
    """Add an invitation. Its id is the hash of the token in the link."""
    db.conn.execute(
        "INSERT INTO invitation (id, staff_id, trust_id, made_by, made_at, expires_at, anew)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            invitation.id,
            invitation.staff_id,
            invitation.trust_id,
            invitation.made_by,
            to_text(invitation.made_at),
            to_text(invitation.expires_at),
            invitation.anew,
        ],
    )


def get_invitation(db: Database, invitation_id: str) -> Invitation | None:
    """The invitation, used or not."""
    rows = db.query("SELECT * FROM invitation WHERE id = ?", [invitation_id])
    return next((_invitation(row) for row in rows), None)


def select_invitations(db: Database, staff_id: str) -> list[Invitation]:
    """All of a person's invitations, the latest first."""
    rows = db.query("SELECT * FROM invitation WHERE staff_id = ? ORDER BY made_at DESC, rowid DESC", [staff_id])
    return [_invitation(row) for row in rows]


def _invitation(row: dict[str, Any]) -> Invitation:
    return Invitation(
        row["id"],
        row["staff_id"],
        row["made_by"],
        from_text(row["made_at"]),
        from_text(row["expires_at"]),
        _time(row["used_at"]),
        _time(row["withdrawn_at"]),
        row["trust_id"],
        bool(row["anew"]),
    )


def set_invitation_used(db: Database, invitation_id: str, now: datetime) -> bool:
    """Use an invitation up. Returns whether it could still be used."""
    done = db.conn.execute(
        "UPDATE invitation SET used_at = :now"
        " WHERE id = :id AND used_at IS NULL AND withdrawn_at IS NULL AND expires_at > :now",
        {"now": to_text(now), "id": invitation_id},
    )
    return done.rowcount == 1


def set_invitations_withdrawn(db: Database, staff_id: str | None, now: datetime, trust_id: str | None = None) -> int:
    """Withdraw what a person was invited with before; with None, a trust's first link. Returns how many."""
    done = db.conn.execute(
        "UPDATE invitation SET withdrawn_at = ?"
        " WHERE staff_id IS ? AND trust_id IS ? AND used_at IS NULL AND withdrawn_at IS NULL",
        [to_text(now), staff_id, trust_id],
    )
    return done.rowcount
