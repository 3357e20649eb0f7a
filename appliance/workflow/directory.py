"""Letting in a person whom the trust's own directory vouches for, or refusing to, and saying so in the audit trail.

An account here is found by the directory's lasting id of the person. Only the first time, when nothing is tied to that
id yet, is it found by an e-mail address that the directory vouches for. No account is ever made.
"""

from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import needs_second_factor
from appliance.safeguarding.audit import AuditEntry, Detail
from appliance.safeguarding.directory import SIGN_IN_LASTS, DirectoryRefusedError, Identity, Refusal, usable_emails
from appliance.safeguarding.sign_in import account_key
from appliance.store import directory, people, sessions
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.sign_in import Visit, claim_try, note_failed_sign_in, note_failure


def admit_from_directory(
    db: Database,
    identity: Identity,
    method: str,
    visit: Visit,
    now: datetime,
    new_id: Callable[[], str],
    name: str = "",
) -> str:
    """The staff id of the person the directory vouches for, tied to its account from now on.

    method: "oidc" or "ldap". name: what was typed, by which tries are counted as the person's from now on. Raises
    DirectoryRefusedError, with its audit entry written.
    """
    with transaction(db):
        found = _find(db, identity, now)
        if isinstance(found, str):
            if name:
                directory.set_name_used(db, account_key(name), found, now)
            return found
    refusal, staff_id = found
    error = DirectoryRefusedError(refusal)
    note_refused(db, method, error, visit, now, new_id, staff_id)
    raise error


def note_refused(
    db: Database,
    method: str,
    error: DirectoryRefusedError,
    visit: Visit,
    now: datetime,
    new_id: Callable[[], str],
    staff_id: str | None = None,
) -> None:
    """Record that the directory's answer was refused, or that it refused."""
    note_failed_sign_in(db, method, visit, now, new_id, staff_id, str(error))


def check_directory_password(
    db: Database,
    ask: Callable[[str, str], Identity],
    name: str,
    password: str,
    visit: Visit,
    now: datetime,
    new_id: Callable[[], str],
) -> Identity:
    """Who it is, by asking the directory; held back like a password of the box's own when there were too many tries.

    Otherwise the box would be a way to try passwords on the directory, and to have it lock its accounts. A name that
    the person came in by before counts as the person, so that one account has one number of tries, however it is named.
    Raises TooManyTriesError without asking; DirectoryRefusedError, with its audit entry written.
    """
    by_email = people.get_staff_by_email(db, name)
    staff_id = by_email.id if by_email else directory.get_named_staff_id(db, account_key(name))
    attempt = claim_try(db, "directory", staff_id or account_key(name), staff_id, visit, now, new_id)
    try:
        identity = ask(name, password)
    except DirectoryRefusedError as error:
        with transaction(db):
            note_failure(db, None, "ldap", visit, now, str(error))
        raise
    with transaction(db):
        sessions.set_attempt_good(db, attempt)
    return identity


def unlink_directory(db: Database, actor_id: str, staff_id: str, now: datetime) -> int:
    """Loosen a person's account from the directory, so that the next sign-in ties it anew. Returns how many ties."""
    with transaction(db):
        count = directory.delete_links(db, staff_id)
        if count:
            detail: Detail = {"ties": count}
            append_audit(db, AuditEntry(actor_id, "directory:unlinked", f"staff:{staff_id}", None, now, detail))
    return count


def _find(db: Database, identity: Identity, now: datetime) -> str | tuple[Refusal, str | None]:
    if identity.once and not directory.insert_finished(db, identity.once, now, now - 2 * SIGN_IN_LASTS):
        return Refusal.REPLAYED, None
    linked = directory.get_linked_staff(db, identity.issuer, identity.subject)
    if linked is not None:
        if linked.disabled:
            return Refusal.DISABLED, linked.id
        directory.set_link_used(db, identity.issuer, identity.subject, now)
        return linked.id
    emails = usable_emails(identity)
    if not emails:
        return Refusal.UNVERIFIED, None
    found = [staff for staff in (people.get_staff_by_email(db, email) for email in emails) if staff is not None]
    if len(found) != 1:
        return Refusal.AMBIGUOUS if found else Refusal.UNKNOWN, None
    staff = found[0]
    if staff.disabled:
        return Refusal.DISABLED, staff.id
    # an address given to somebody new in the directory must not hand them the records of who had it before
    if any(link.issuer == identity.issuer for link in directory.select_links(db, staff.id)):
        return Refusal.OTHER_ACCOUNT, staff.id
    if _owes_link(db, staff.id, now):
        return Refusal.INVITED, staff.id
    directory.insert_link(db, directory.DirectoryLink(identity.issuer, identity.subject, staff.id, now, now))
    detail: Detail = {"directory": identity.issuer}
    append_audit(db, AuditEntry(staff.id, "directory:linked", f"staff:{staff.id}", None, now, detail))
    return staff.id


def _owes_link(db: Database, staff_id: str, now: datetime) -> bool:
    """Whether the account opens records and its link was never used: who may write addresses in the directory is not to
    come before the person it was made for."""
    actor = people.get_actor(db, staff_id, now)
    latest = next(iter(sessions.select_invitations(db, staff_id)), None)
    return actor is not None and needs_second_factor(actor) and latest is not None and latest.used_at is None
