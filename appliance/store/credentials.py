"""What a person proves themselves with: password hashes, authenticator apps, passkeys, recovery codes.

Secrets of authenticator apps are sealed with a key that is kept apart from the database, so that a copy of the
database alone makes no codes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlite_utils import Database

from appliance.store.connection import from_text, to_text

_NONCE_BYTES = 12


class SecretSeal:
    """Seals authenticator secrets, each for one credential of one person."""

    def __init__(self, box_key: bytes) -> None:
        """box_key: the key that captures are sealed with; another is derived from it."""
        derived = HKDF(SHA256(), 32, salt=None, info=b"trustkeep authenticator secrets 1").derive(box_key)
        self._cipher = AESGCM(derived)

    def seal(self, credential_id: str, secret: str) -> bytes:
        """The secret, sealed."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret.encode(), credential_id.encode())

    def open(self, credential_id: str, sealed: bytes) -> str | None:
        """The secret, or None when it was not sealed for this credential with this key."""
        try:
            opened = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], credential_id.encode())
        except (InvalidTag, ValueError):
            return None
        return opened.decode()


@dataclass(frozen=True, slots=True)
class Credential:
    """One second factor. kind: "totp" or "passkey". secret: sealed; last_step: the last code's step (totp only)."""

    id: str
    staff_id: str
    kind: str
    name: str
    added_at: datetime
    confirmed_at: datetime | None
    last_used_at: datetime | None = None
    secret: bytes | None = None
    last_step: int | None = None
    passkey_id: bytes | None = None
    public_key: bytes | None = None
    sign_count: int = 0


def _credential(row: dict[str, Any]) -> Credential:
    return Credential(
        row["id"],
        row["staff_id"],
        row["kind"],
        row["name"],
        from_text(row["added_at"]),
        from_text(row["confirmed_at"]) if row["confirmed_at"] else None,
        from_text(row["last_used_at"]) if row["last_used_at"] else None,
        row["secret"],
        row["last_step"],
        row["passkey_id"],
        row["public_key"],
        row["sign_count"],
    )


def insert_credential(db: Database, credential: Credential) -> None:
    """Add a second factor; it counts once it is confirmed."""
    db.conn.execute(
        "INSERT INTO credential (id, staff_id, kind, name, added_at, confirmed_at, secret, passkey_id, public_key,"
        " sign_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            credential.id,
            credential.staff_id,
            credential.kind,
            credential.name,
            to_text(credential.added_at),
            to_text(credential.confirmed_at) if credential.confirmed_at else None,
            credential.secret,
            credential.passkey_id,
            credential.public_key,
            credential.sign_count,
        ],
    )


def select_credentials(db: Database, staff_id: str) -> list[Credential]:
    """A person's confirmed second factors, the oldest first."""
    rows = db.query(
        "SELECT * FROM credential WHERE staff_id = ? AND confirmed_at IS NOT NULL ORDER BY added_at, id", [staff_id]
    )
    return [_credential(row) for row in rows]


def select_credential_kinds(db: Database, staff_id: str) -> frozenset[str]:
    """Which kinds of second factor a person has."""
    rows = db.conn.execute(
        "SELECT DISTINCT kind FROM credential WHERE staff_id = ? AND confirmed_at IS NOT NULL", [staff_id]
    )
    return frozenset(row[0] for row in rows)


def get_pending_authenticator(db: Database, staff_id: str, session_id: str) -> Credential | None:
    """The authenticator app that a person is adding in this session and has not confirmed yet."""
    # until it has a name of its own it bears that of its session: nobody else may learn a secret that will count
    rows = db.query(
        "SELECT * FROM credential WHERE staff_id = ? AND kind = 'totp' AND confirmed_at IS NULL AND name = ?",
        [staff_id, session_id],
    )
    return next((_credential(row) for row in rows), None)


def get_passkey(db: Database, passkey_id: bytes) -> Credential | None:
    """The passkey that a browser's answer names."""
    rows = db.query("SELECT * FROM credential WHERE passkey_id = ?", [passkey_id])
    return next((_credential(row) for row in rows), None)


def delete_pending_authenticators(db: Database, before: datetime) -> None:
    """Drop what people began to add and did not confirm."""
    db.conn.execute("DELETE FROM credential WHERE confirmed_at IS NULL AND added_at < ?", [to_text(before)])


def set_credential_confirmed(db: Database, credential_id: str, name: str, step: int, now: datetime) -> None:
    """Count an authenticator app from now on; its first code has been used."""
    db.conn.execute(
        "UPDATE credential SET confirmed_at = :now, name = :name, last_step = :step, last_used_at = :now"
        " WHERE id = :id",
        {"now": to_text(now), "name": name, "step": step, "id": credential_id},
    )


def set_code_used(db: Database, credential_id: str, step: int, now: datetime) -> bool:
    """Use a code up. Returns whether it had not been used, nor one after it."""
    done = db.conn.execute(
        "UPDATE credential SET last_step = :step, last_used_at = :now"
        " WHERE id = :id AND (last_step IS NULL OR last_step < :step)",
        {"step": step, "now": to_text(now), "id": credential_id},
    )
    return done.rowcount == 1


def set_passkey_used(db: Database, credential_id: str, sign_count: int, now: datetime) -> None:
    """Note a passkey's counter and that it was used."""
    db.conn.execute(
        "UPDATE credential SET sign_count = ?, last_used_at = ? WHERE id = ?",
        [sign_count, to_text(now), credential_id],
    )


def delete_credential(db: Database, credential_id: str, staff_id: str) -> bool:
    """Remove a person's second factor. Returns whether it was theirs."""
    done = db.conn.execute("DELETE FROM credential WHERE id = ? AND staff_id = ?", [credential_id, staff_id])
    return done.rowcount == 1


def delete_all_credentials(db: Database, staff_id: str) -> None:
    """Remove all of a person's second factors and recovery codes."""
    db.conn.execute("DELETE FROM credential WHERE staff_id = ?", [staff_id])
    db.conn.execute("DELETE FROM recovery_code WHERE staff_id = ?", [staff_id])


def set_recovery_codes(db: Database, staff_id: str, digests: Sequence[str], now: datetime) -> None:
    """Replace a person's recovery codes."""
    db.conn.execute("DELETE FROM recovery_code WHERE staff_id = ?", [staff_id])
    for digest in digests:
        db.conn.execute(
            "INSERT INTO recovery_code (id, staff_id, made_at) VALUES (?, ?, ?)", [digest, staff_id, to_text(now)]
        )


def set_recovery_code_used(db: Database, staff_id: str, digest: str, now: datetime) -> bool:
    """Use a recovery code up. Returns whether there was such a one left."""
    done = db.conn.execute(
        "UPDATE recovery_code SET used_at = ? WHERE id = ? AND staff_id = ? AND used_at IS NULL",
        [to_text(now), digest, staff_id],
    )
    return done.rowcount == 1


def count_recovery_codes(db: Database, staff_id: str) -> int:
    """How many recovery codes a person has left."""
    row = db.conn.execute(
        "SELECT count(*) FROM recovery_code WHERE staff_id = ? AND used_at IS NULL", [staff_id]
    ).fetchone()
    return int(row[0])


def set_password_hash(db: Database, staff_id: str, password_hash: str | None) -> None:
    """Set a person's password, or take it away."""
    db.conn.execute("UPDATE staff SET password_hash = ? WHERE id = ?", [password_hash, staff_id])


def get_own_password_hash(db: Database, staff_id: str) -> str | None:
    """A person's password hash; None when they sign in another way."""
    row = db.conn.execute("SELECT password_hash FROM staff WHERE id = ?", [staff_id]).fetchone()
    return row[0] if row else None


def insert_challenge(
    db: Database,
    challenge_id: str,
    purpose: str,
    staff_id: str | None,
    asked_from: str,
    challenge: bytes,
    expires_at: datetime,
) -> None:
    """Keep what a browser's passkey must sign. purpose: what the answer may be used for. asked_from: who asked."""
    db.conn.execute(
        "INSERT INTO challenge (id, purpose, staff_id, asked_from, challenge, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        [challenge_id, purpose, staff_id, asked_from, challenge, to_text(expires_at)],
    )


def claim_challenge(db: Database, challenge_id: str, purpose: str, staff_id: str | None, now: datetime) -> bytes | None:
    """Take a challenge out, so that it counts once; None when there is none, or it is too old."""
    rows = db.conn.execute(
        "DELETE FROM challenge WHERE id = ? AND purpose = ? AND staff_id IS ? AND expires_at > ? RETURNING challenge",
        [challenge_id, purpose, staff_id, to_text(now)],
    ).fetchall()
    return rows[0][0] if rows else None


def delete_old_challenges(db: Database, now: datetime) -> None:
    """Forget challenges nobody answered in time."""
    db.conn.execute("DELETE FROM challenge WHERE expires_at <= ?", [to_text(now)])


def delete_surplus_challenges(db: Database, asked_from: str, keep: int) -> None:
    """Forget the oldest challenges of one who asked for very many."""
    db.conn.execute(
        "DELETE FROM challenge WHERE asked_from = :who AND id NOT IN"
        " (SELECT id FROM challenge WHERE asked_from = :who ORDER BY expires_at DESC LIMIT :keep)",
        {"who": asked_from, "keep": keep},
    )
