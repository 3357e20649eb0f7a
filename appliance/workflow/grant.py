"""Giving people accounts, passwords and roles."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Grant, GrantError, NotAllowedError, check_grant, may_give
from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.safeguarding.notice import NoticeKind
from appliance.store import grants, people
from appliance.store.audit import append_audit
from appliance.store.connection import to_text, transaction
from appliance.workflow.announce import announce_account, opens_records
from appliance.workflow.credentials import hash_password
from appliance.workflow.invite import make_link, may_invite, select_makers, take_apart


def add_staff(
    db: Database,
    staff: people.Staff,
    password: str | None,
    roles: list[Grant],
    now: datetime,
    new_id: Callable[[], str],
) -> None:
    """Add a person with their roles. Needs a system connection."""
    with transaction(db):
        people.insert_staff(db, staff, hash_password(password) if password else None)
        append_audit(db, AuditEntry(SYSTEM, "staff:added", f"staff:{staff.id}", None, now))
        for grant in roles:
            grants.insert_grant(db, new_id(), staff.id, grant, now)
            detail = {"role": grant.role, "trust": grant.trust_id, "academy": grant.academy_id}
            append_audit(db, AuditEntry(SYSTEM, "grant:given", f"staff:{staff.id}", grant.academy_id, now, detail))


@dataclass(frozen=True, slots=True)
class NewGrant:
    """A role to be given. ends_at: the first moment it no longer counts; None for one without an end."""

    id: str
    grant: Grant
    starts_at: datetime
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What giving a role did. staff_id: to whom. link: the token of their new sign-in link, where they need one."""

    staff_id: str
    link: str | None = None


def give_grant(
    db: Database, actor: Actor, staff_id: str, new: NewGrant, now: datetime, new_id: Callable[[], str]
) -> Given:
    """Give a person a role. Raises GrantError, or NotAllowedError when it is beyond the actor's own reach.

    Where the account was made by somebody who could not give this role, everything that leads into it is taken away,
    and the person needs the link that is returned: else whoever kept or used an earlier link would now hold the role.
    """
    with transaction(db):
        return _give(db, actor, staff_id, new, now, new_id)


def give_by_address(
    db: Database, actor: Actor, person: people.Staff, new: NewGrant, now: datetime, new_id: Callable[[], str]
) -> Given | None:
    """Give the role to whoever has this e-mail address on the box, at any of its trusts; None when nobody has it.

    Raises GrantError, NotAllowedError. The name must fit too: a wrong letter in an address is not to give a stranger a
    role, nor to tell their name.
    """
    with transaction(db):
        check_grant(actor, person.id, new.grant, new.starts_at, new.ends_at, now)
        found = people.get_staff_by_email(db, person.email)
        if found is None:
            return None
        if found.name.split() != person.name.split():
            raise GrantError(
                "There is an account with this e-mail address already, under another name. Check with the person how"
                " both are written."
            )
        return _give(db, actor, found.id, new, now, new_id)


def add_person(
    db: Database, actor: Actor, person: people.Staff, new: NewGrant, now: datetime, new_id: Callable[[], str]
) -> str:
    """Make an account for a person, with one role and no password. Raises GrantError, NotAllowedError.

    Returns the token of the link by which the person makes their own password.
    """
    if not person.name.strip() or "@" not in person.email.strip("@ "):
        raise GrantError("Give the person's name and e-mail address.")
    with transaction(db):
        check_grant(actor, person.id, new.grant, new.starts_at, new.ends_at, now)
        if people.get_staff_by_email(db, person.email) is not None:
            raise GrantError("There is an account with this e-mail address already. Give that person the role instead.")
        people.insert_staff(db, people.Staff(person.id, person.name.strip(), person.email.strip()), None)
        academy_id = new.grant.academy_id
        append_audit(db, AuditEntry(actor.staff_id, "staff:added", f"staff:{person.id}", academy_id, now))
        _insert(db, actor, person.id, new, now, new_id)
        return make_link(db, actor.staff_id, person.id, now)


def _give(db: Database, actor: Actor, staff_id: str, new: NewGrant, now: datetime, new_id: Callable[[], str]) -> Given:
    check_grant(actor, staff_id, new.grant, new.starts_at, new.ends_at, now)
    if people.get_actor(db, staff_id, now) is None:
        raise GrantError("Their account is switched off. A safeguarding lead of their trust can switch it on again.")
    held = [one for one in grants.select_grants_of(db, staff_id) if not one.is_over(now)]
    if any(one.grant == new.grant and one.ends_at == new.ends_at for one in held):
        raise GrantError("They hold this role there already.")
    _insert(db, actor, staff_id, new, now, new_id)
    if not opens_records(new.grant) or all(
        _could_give(db, maker, new.grant, now) for maker in select_makers(db, staff_id)
    ):
        return Given(staff_id)
    # not as narrowed to one academy: this is about what the giver holds, not what they look at
    giver = people.get_actor(db, actor.staff_id, now)
    if giver is None or not may_invite(db, giver, staff_id, now):
        raise GrantError(
            "Their account was made by somebody who could not give this role, so they must make it anew by a new"
            " sign-in link first. You can't make that link, as they hold a role beyond your reach: ask your technician"
            " for it (appliance setup-link --for their address), and give the role when they have used it."
        )
    take_apart(db, actor.staff_id, staff_id, "a greater role was given", now)
    return Given(staff_id, make_link(db, actor.staff_id, staff_id, now, anew=True))


def _could_give(db: Database, maker_id: str, grant: Grant, now: datetime) -> bool:
    maker = people.get_actor(db, maker_id, now)
    return maker_id == SYSTEM or (maker is not None and may_give(maker, grant))


def _insert(db: Database, actor: Actor, staff_id: str, new: NewGrant, now: datetime, new_id: Callable[[], str]) -> None:
    grants.insert_grant(db, new.id, staff_id, new.grant, new.starts_at, new.ends_at)
    detail = {
        "role": new.grant.role,
        "trust": new.grant.trust_id,
        "academy": new.grant.academy_id,
        "from": to_text(new.starts_at),
        "until": to_text(new.ends_at) if new.ends_at else None,
    }
    places = (new.grant.trust_id,) if new.grant.trust_id else ()
    subject = f"staff:{staff_id}"
    append_audit(db, AuditEntry(actor.staff_id, "grant:given", subject, new.grant.academy_id, now, detail, places))
    if opens_records(new.grant):
        announce_account(db, actor, staff_id, NoticeKind.ROLE_GIVEN, now, new_id)


def end_grant(db: Database, actor: Actor, grant_id: str, now: datetime) -> str:
    """End a grant; it no longer counts at the person's next click. Returns whose it was.

    Raises NotAllowedError when it is beyond the actor's own reach, GrantError when it is their own.
    """
    with transaction(db):
        held = grants.get_grant(db, grant_id)
        if held is None or not may_give(actor, held.grant):
            raise NotAllowedError(f"grant {grant_id}")
        if held.staff_id == actor.staff_id:
            raise GrantError("Nobody can end a role of their own. Ask another safeguarding lead of the trust.")
        if held.is_over(now):
            return held.staff_id
        grants.set_grant_ended(db, grant_id, now)
        detail = {"role": held.grant.role, "trust": held.grant.trust_id, "academy": held.grant.academy_id}
        subject, places = f"staff:{held.staff_id}", (held.grant.trust_id,) if held.grant.trust_id else ()
        entry = AuditEntry(actor.staff_id, "grant:ended", subject, held.grant.academy_id, now, detail, places)
        append_audit(db, entry)
    return held.staff_id
