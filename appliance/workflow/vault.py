"""The vault of records about staff: entering one, adding to it, and looking, which only its own roles learn of."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import ROLES, Actor, NotAllowedError, Permission, Role, academies_for, require
from appliance.safeguarding.audit import AuditEntry
from appliance.safeguarding.concern import RecordError
from appliance.safeguarding.vault import Keeper, NewVaultEntry, check_vault_entry, find_keeper
from appliance.store import people, vault
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


def enter_in_vault(db: Database, actor: Actor, entry: NewVaultEntry, now: datetime) -> None:
    """Keep a record about a member of staff. Raises RecordError, NotAllowedError.

    A name that was typed and means one of those who open this vault is taken for them, so that they never see it.
    """
    require(actor, Permission.VAULT_RECORD, entry.academy_id)
    with transaction(db):
        if entry.about_id is None:
            entry = replace(entry, about_id=find_keeper(entry.about_name, _keepers(db, entry.academy_id, now)))
        check_vault_entry(entry, actor.staff_id)
        vault.insert_vault_entry(db, entry, actor.staff_id, now)
        append_audit(db, AuditEntry(actor.staff_id, "vault:entered", f"vault:{entry.id}", entry.academy_id, now))


def _keepers(db: Database, academy_id: str, now: datetime) -> list[Keeper]:
    opening = [role for role, info in ROLES.items() if Permission.VAULT_VIEW in info.permissions]
    return [
        Keeper(one.id, one.name, role is Role.HEAD)
        for role in opening
        for one in people.select_staff_with_role(db, role, academy_id, now)
    ]


def add_vault_note(
    db: Database, actor: Actor, entry_id: str, text: str, now: datetime, new_id: Callable[[], str]
) -> None:
    """Add to a record. Raises RecordError, NotAllowedError."""
    if not text.strip():
        raise RecordError("Write what is to be added.")
    with transaction(db):
        entry = _get(db, entry_id)
        require(actor, Permission.VAULT_RECORD, entry.academy_id)
        vault.insert_vault_note(db, new_id(), entry, text, actor.staff_id, now)
        append_audit(db, AuditEntry(actor.staff_id, "vault:noted", f"vault:{entry_id}", entry.academy_id, now))


def view_vault_entry(db: Database, actor: Actor, entry_id: str, now: datetime) -> vault.VaultEntry:
    """A record, once it is on the audit trail that it was opened. Raises NotAllowedError."""
    with transaction(db):
        entry = _get(db, entry_id)
        append_audit(db, AuditEntry(actor.staff_id, "vault:viewed", f"vault:{entry_id}", entry.academy_id, now))
    return entry


def note_vault_list(db: Database, actor: Actor, subject: str, now: datetime) -> None:
    """Note that the actor looked at the list of records ("list:vault"), or at what was done with them
    ("list:vault_trail", or "staff:…" for one person's)."""
    with transaction(db):
        for academy_id in sorted(academies_for(actor, Permission.VAULT_VIEW)):
            append_audit(db, AuditEntry(actor.staff_id, "vault:listed", subject, academy_id, now))


def _get(db: Database, entry_id: str) -> vault.VaultEntry:
    entry = vault.get_vault_entry(db, entry_id)
    if entry is None:
        raise NotAllowedError(f"vault {entry_id}")
    return entry
