"""Inviting a person to make their account by a link, and making it. Nobody has a password that another person chose."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.safeguarding.access import Actor, Grant, NotAllowedError, Role, may_give
from appliance.safeguarding.audit import SYSTEM, AuditEntry, Detail
from appliance.safeguarding.notice import NoticeKind
from appliance.safeguarding.sign_in import INVITATION_LIFE, digest
from appliance.store import academies, credentials, directory, grants, people, sessions
from appliance.store.audit import append_audit
from appliance.store.connection import transaction
from appliance.workflow.announce import announce_account
from appliance.workflow.credentials import CredentialError, hash_password, require_good_password
from appliance.workflow.sign_in import end_all_within, new_token


class InvitationError(Exception):
    """The link can't be used. why: "used", "expired", "withdrawn", "unknown"; or "trust": none can be made for it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class FirstLead:
    """What the first trust safeguarding lead says of themselves. trust_name: empty where the box has a trust."""

    name: str
    email: str
    trust_name: str = ""


def may_invite(db: Database, actor: Actor, staff_id: str, now: datetime) -> bool:
    """Whether the actor may make a sign-in link for a person: only who could give them every role they hold.

    A link sets the password anew, so a smaller right would let a person climb into a greater account.
    """
    held = [one for one in grants.select_grants_of(db, staff_id) if not one.is_over(now)]
    return staff_id != actor.staff_id and bool(held) and all(may_give(actor, one.grant) for one in held)


def invite_staff(db: Database, actor: Actor, staff_id: str, now: datetime, new_id: Callable[[], str]) -> str:
    """Make a link for a person who is on the box, and return its token; their earlier links stop working.

    The person sets a password and a second factor with it. For one who has these already it replaces them, which is
    how someone who lost their telephone gets back in; then they and a second person are told. Raises NotAllowedError
    unless the actor holds every right the person holds.
    """
    with transaction(db):
        if not may_invite(db, actor, staff_id, now):
            raise NotAllowedError(f"link for {staff_id}")
        if has_been_used(db, staff_id):
            announce_account(db, actor, staff_id, NoticeKind.LINK_MADE, now, new_id)
        return make_link(db, actor.staff_id, staff_id, now)


def invite_by_system(db: Database, staff_id: str, now: datetime) -> str:
    """The same from the command line, for when nobody in the portal can; whoever may run that is the box's own root."""
    with transaction(db):
        return make_link(db, SYSTEM, staff_id, now)


def make_link(db: Database, inviter_id: str, staff_id: str, now: datetime, anew: bool = False) -> str:
    """Make a link inside the caller's transaction(), which has looked whether it may be. Returns its token."""
    if people.get_actor(db, staff_id, now) is None:
        raise NotAllowedError(f"staff {staff_id}")
    token = new_token()
    sessions.set_invitations_withdrawn(db, staff_id, now)
    sessions.insert_invitation(
        db, sessions.Invitation(digest(token), staff_id, inviter_id, now, now + INVITATION_LIFE, anew=anew)
    )
    append_audit(db, AuditEntry(inviter_id, "invitation:made", f"staff:{staff_id}", None, now))
    return token


def has_been_used(db: Database, staff_id: str) -> bool:
    """Whether there is a way into the account already: a password, a second factor, or a tie to a directory."""
    return bool(
        credentials.get_own_password_hash(db, staff_id) is not None
        or credentials.select_credential_kinds(db, staff_id)
        or directory.select_links(db, staff_id)
    )


def select_makers(db: Database, staff_id: str) -> set[str]:
    """Who may have a hand in how this account is signed in to: who made its links, since it was last made anew.

    A link that was used made everything anew; so did one made together with ``take_apart``. What a link before it
    opened is gone. One that was never used counts: its maker chose the address by which a directory finds the account.
    """
    makers = set()
    for one in sessions.select_invitations(db, staff_id):
        makers.add(one.made_by)
        if one.used_at is not None or one.anew:
            break
    return makers


def take_apart(db: Database, by: str, staff_id: str, why: str, now: datetime) -> None:
    """Take away every way into an account: password, second factors, ties, links, sessions. In a transaction."""
    links = sessions.set_invitations_withdrawn(db, staff_id, now)
    credentials.set_password_hash(db, staff_id, None)
    factors = len(credentials.select_credentials(db, staff_id))
    credentials.delete_all_credentials(db, staff_id)
    ties = directory.delete_links(db, staff_id)
    detail: Detail = {"why": why, "links": links, "second_factors": factors, "ties": ties}
    append_audit(db, AuditEntry(by, "staff:ways_in_removed", f"staff:{staff_id}", None, now, detail))
    end_all_within(db, staff_id, why, now, by=by)


def invite_first_lead(db: Database, now: datetime, trust_id: str | None = None) -> str | None:
    """Make the link by which a trust's first safeguarding lead makes their account; None when it has one already.

    trust_id: which of the box's trusts; None on a box with one or none. Raises InvitationError("trust") when there are
    several to choose from, or no such one.
    """
    token = new_token()
    with transaction(db):
        trusts = [one[0] for one in people.select_trusts(db)]
        if trust_id is None and len(trusts) < 2:
            if people.count_staff(db):
                return None
            trust_id = trusts[0] if trusts else None
        elif trust_id not in trusts:
            raise InvitationError("trust")
        elif grants.has_lead(db, trust_id or "", now):
            return None
        sessions.set_invitations_withdrawn(db, None, now, trust_id)
        made = sessions.Invitation(digest(token), None, SYSTEM, now, now + INVITATION_LIFE, trust_id=trust_id)
        sessions.insert_invitation(db, made)
        places = (trust_id,) if trust_id else ()
        append_audit(db, AuditEntry(SYSTEM, "invitation:made", "set-up", None, now, places=places))
    return token


def look_up_invitation(db: Database, token: str, now: datetime) -> sessions.Invitation:
    """The invitation of a link that can still be used. Raises InvitationError.

    Whoever made it must still hold every right that the person holds: roles may have come to the one since, or gone
    from the other.
    """
    invitation = sessions.get_invitation(db, digest(token))
    if invitation is None:
        raise InvitationError("unknown")
    if invitation.used_at is not None:
        raise InvitationError("used")
    if invitation.withdrawn_at is not None:
        raise InvitationError("withdrawn")
    if invitation.expires_at <= now:
        raise InvitationError("expired")
    if invitation.staff_id is None:
        needed = (
            not grants.has_lead(db, invitation.trust_id, now) if invitation.trust_id else not people.count_staff(db)
        )
    else:
        needed = people.get_actor(db, invitation.staff_id, now) is not None and _may_still(db, invitation, now)
    if not needed:
        raise InvitationError("withdrawn")
    return invitation


def _may_still(db: Database, invitation: sessions.Invitation, now: datetime) -> bool:
    if invitation.made_by == SYSTEM:
        return True
    maker = people.get_actor(db, invitation.made_by, now)
    return maker is not None and may_invite(db, maker, invitation.staff_id or "", now)


def accept_invitation(db: Database, token: str, password: str, now: datetime) -> str:
    """Use an invitation up: set the password; a second factor comes next. Returns the person's id.

    What the person had before (second factors, recovery codes, ties to a directory, sessions) is gone with it. Raises
    InvitationError, CredentialError.
    """
    invitation = look_up_invitation(db, token, now)
    person = people.get_staff(db, invitation.staff_id or "")
    if person is None:
        raise InvitationError("unknown")
    require_good_password(password, (person.name, person.email))
    hashed = hash_password(password)
    with transaction(db):
        # once more, as a role may have been given while the password was hashed
        look_up_invitation(db, token, now)
        if not sessions.set_invitation_used(db, invitation.id, now):
            raise InvitationError("used")
        credentials.set_password_hash(db, person.id, hashed)
        had = len(credentials.select_credentials(db, person.id))
        credentials.delete_all_credentials(db, person.id)
        ties = directory.delete_links(db, person.id)
        detail: Detail = {"invited_by": invitation.made_by, "second_factors_removed": had, "ties_removed": ties}
        append_audit(db, AuditEntry(person.id, "invitation:used", f"staff:{person.id}", None, now, detail))
        end_all_within(db, person.id, "account made anew", now)
    return person.id


def accept_first_link(
    db: Database, token: str, lead: FirstLead, password: str, now: datetime, new_id: Callable[[], str]
) -> str:
    """Use the box's first link up: make the trust where there is none, and its safeguarding lead. Returns their id.

    Raises InvitationError, CredentialError.
    """
    invitation = look_up_invitation(db, token, now)
    if invitation.staff_id is not None:
        raise InvitationError("unknown")
    require_good_password(password, (lead.name, lead.email, lead.trust_name))
    hashed, staff_id = hash_password(password), new_id()
    with transaction(db):
        look_up_invitation(db, token, now)
        if people.get_staff_by_email(db, lead.email) is not None:
            raise CredentialError("Somebody has an account with this e-mail address already. Use another address.")
        if not sessions.set_invitation_used(db, invitation.id, now):
            raise InvitationError("used")
        trust_id = invitation.trust_id or _new_trust(db, lead, now, new_id)
        people.insert_staff(db, people.Staff(staff_id, lead.name.strip(), lead.email.strip()), hashed)
        append_audit(db, AuditEntry(SYSTEM, "staff:added", f"staff:{staff_id}", None, now))
        grants.insert_grant(db, new_id(), staff_id, Grant(Role.TRUST_LEAD, trust_id=trust_id), now)
        detail: Detail = {"role": Role.TRUST_LEAD, "trust": trust_id, "academy": None}
        append_audit(db, AuditEntry(SYSTEM, "grant:given", f"staff:{staff_id}", None, now, detail, (trust_id,)))
        append_audit(db, AuditEntry(staff_id, "invitation:used", "set-up", None, now))
    return staff_id


def _new_trust(db: Database, lead: FirstLead, now: datetime, new_id: Callable[[], str]) -> str:
    if people.select_trusts(db):
        # one came onto the box after the link was made
        raise InvitationError("withdrawn")
    if not lead.trust_name.strip():
        raise CredentialError("Give the name of your trust.")
    trust_id = new_id()
    academies.insert_trust(db, academies.Trust(trust_id, lead.trust_name.strip()))
    append_audit(db, AuditEntry(SYSTEM, "trust:added", f"trust:{trust_id}", None, now, places=(trust_id,)))
    return trust_id
