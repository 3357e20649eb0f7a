"""Who made an account can't come into what it becomes: links, passwords and ties from a smaller right end with it."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.safeguarding.access import Actor, Grant, GrantError, NotAllowedError, Role
from appliance.safeguarding.directory import DirectoryRefusedError, Identity, Refusal
from appliance.safeguarding.sign_in import digest
from appliance.store import directory, grants, people, sessions
from appliance.store.connection import to_text, transaction
from appliance.workflow.directory import admit_from_directory
from appliance.workflow.grant import Given, NewGrant, add_person, give_by_address, give_grant
from appliance.workflow.invite import (
    InvitationError,
    accept_invitation,
    invite_by_system,
    invite_first_lead,
    invite_staff,
)
from appliance.workflow.sign_in import Visit, begin_session
from tests.factories import Box

NOW = datetime.now(UTC)
PAST = NOW - timedelta(hours=1)
PASSWORD = "purple tractor window lamp"
VISIT = Visit("192.0.2.1", "a browser")
HEAD = Grant(Role.HEAD, academy_id="ashby")
STAFF = Grant(Role.STAFF, academy_id="ashby")


@pytest.fixture
def dsl(box: Box) -> Actor:
    return box.staff(Role.DSL, academy_id="ashby")


@pytest.fixture
def lead(box: Box) -> Actor:
    return box.staff(Role.TRUST_LEAD, trust_id="larch")


def add(box: Box, by: Actor, grant: Grant = STAFF, staff_id: str = "hedda") -> str:
    """Somebody adds a person; the token of the link they see."""
    person = people.Staff(staff_id, "Hedda Newhead", f"{staff_id}@school.example")
    return add_person(box.open_as(by), by, person, NewGrant(box.new_id(), grant, PAST), NOW, box.new_id)


def give(box: Box, by: Actor, grant: Grant, staff_id: str = "hedda") -> Given:
    return give_grant(box.open_as(by), by, staff_id, NewGrant(box.new_id(), grant, PAST), NOW, box.new_id)


def end_roles(box: Box, person: Actor) -> None:
    box.db.conn.execute("UPDATE staff_grant SET ends_at = ? WHERE staff_id = ?", [to_text(PAST), person.staff_id])


def accept(box: Box, token: str) -> str:
    return accept_invitation(box.open_as(None), token, PASSWORD, NOW)


def ways_in(box: Box, staff_id: str = "hedda") -> tuple[int, ...]:
    """Passwords, second factors, recovery codes, ties and open sessions of a person."""
    queries = (
        "SELECT count(*) FROM staff WHERE id = ? AND password_hash IS NOT NULL",
        "SELECT count(*) FROM credential WHERE staff_id = ?",
        "SELECT count(*) FROM recovery_code WHERE staff_id = ?",
        "SELECT count(*) FROM directory_link WHERE staff_id = ?",
        "SELECT count(*) FROM session WHERE staff_id = ? AND ended_at IS NULL",
    )
    return tuple(box.db.conn.execute(query, [staff_id]).fetchone()[0] for query in queries)


def test_a_link_kept_by_a_dsl_does_not_open_the_head_the_person_became(box: Box, dsl: Actor, lead: Actor) -> None:
    kept = add(box, dsl)
    given = give(box, lead, HEAD)
    with pytest.raises(InvitationError, match="withdrawn"):
        accept(box, kept)
    assert given.link is not None and accept(box, given.link) == "hedda"
    with pytest.raises(InvitationError, match="withdrawn"):
        accept(box, kept)


def test_what_a_dsl_set_up_before_opens_nothing_after(box: Box, dsl: Actor, lead: Actor) -> None:
    accept(box, add(box, dsl))
    box.give_authenticator("hedda")
    tie = directory.DirectoryLink("https://issuer", "id-of-the-dsl", "hedda", NOW, NOW)
    with transaction(box.db):
        directory.insert_link(box.db, tie)
    begin_session(box.db, "hedda", "password", "192.0.2.1", "a browser", NOW)
    assert ways_in(box) == (1, 1, 0, 1, 1)
    given = give(box, lead, HEAD)
    assert ways_in(box) == (0, 0, 0, 0, 0)
    assert given.link is not None and accept(box, given.link) == "hedda"
    # it is the lead's link now that stands behind the account: the next role asks for no other
    assert give(box, lead, Grant(Role.DSL, academy_id="birch")).link is None
    assert ways_in(box)[0] == 1


def test_a_tie_that_came_by_the_makers_choice_of_address_ends_too(box: Box, dsl: Actor, lead: Actor) -> None:
    add(box, dsl)
    mine = Identity("https://issuer", "id-of-the-dsl", ("hedda@school.example",))
    assert admit_from_directory(box.db, mine, "oidc", VISIT, NOW, box.new_id) == "hedda"
    # a later link by somebody greater, not used, does not wash that out
    invite_staff(box.open_as(lead), lead, "hedda", NOW, box.new_id)
    assert give(box, lead, HEAD).link is not None
    assert ways_in(box) == (0, 0, 0, 0, 0)
    with pytest.raises(DirectoryRefusedError) as refused:
        admit_from_directory(box.db, mine, "oidc", VISIT, NOW, box.new_id)
    assert refused.value.refusal is Refusal.INVITED


@pytest.mark.parametrize("used", [True, False])
def test_a_lead_whose_role_ended_keeps_no_way_into_a_greater_account(box: Box, lead: Actor, used: bool) -> None:
    second = box.staff(Role.TRUST_LEAD, trust_id="larch")
    token = add(box, lead)
    if used:
        accept(box, token)
    end_roles(box, lead)
    assert give(box, second, HEAD).link is not None
    assert ways_in(box) == (0, 0, 0, 0, 0)
    with pytest.raises(InvitationError):
        accept(box, token)


def test_a_link_of_somebody_whose_role_ended_or_account_was_switched_off_is_worth_nothing(
    box: Box, dsl: Actor, lead: Actor
) -> None:
    first = add(box, dsl)
    end_roles(box, dsl)
    with pytest.raises(InvitationError, match="withdrawn"):
        accept(box, first)
    second = add(box, lead, staff_id="jo")
    people.set_staff_disabled(box.db, lead.staff_id, NOW)
    with pytest.raises(InvitationError, match="withdrawn"):
        accept(box, second)


def test_a_role_that_opens_no_record_makes_nothing_anew(box: Box, dsl: Actor, lead: Actor) -> None:
    accept(box, add(box, dsl))
    assert give(box, lead, Grant(Role.REPORTING, trust_id="larch")).link is None
    assert ways_in(box)[0] == 1


def test_a_role_from_who_made_the_account_makes_nothing_anew(box: Box, lead: Actor) -> None:
    accept(box, add(box, lead))
    second = box.staff(Role.TRUST_LEAD, trust_id="larch")
    assert give(box, second, HEAD).link is None
    assert ways_in(box)[0] == 1


def test_a_lead_of_another_trust_can_neither_take_an_account_nor_shut_it(box: Box, lead: Actor) -> None:
    far = box.staff(Role.TRUST_LEAD, trust_id="maple")
    accept(box, add(box, far, Grant(Role.MODERATOR, trust_id="maple")))
    with pytest.raises(GrantError, match="setup-link --for"):
        give(box, lead, Grant(Role.DSL, academy_id="ashby"))
    assert ways_in(box)[0] == 1 and len(grants.select_grants_of(box.db, "hedda")) == 1
    # the technician's link is nobody's smaller right
    accept(box, invite_by_system(box.db, "hedda", NOW))
    assert give(box, lead, Grant(Role.DSL, academy_id="ashby")) == Given("hedda")
    for one in (lead, far):
        with pytest.raises(NotAllowedError):
            invite_staff(box.open_as(one), one, "hedda", NOW, box.new_id)


def test_a_person_of_another_trust_is_found_by_address_and_name(box: Box, lead: Actor) -> None:
    far = box.staff(Role.TRUST_LEAD, trust_id="maple", name="Mo Maple")
    role = NewGrant("given", Grant(Role.DSL, academy_id="ashby"), PAST)

    def by(name: str, email: str) -> Given | None:
        return give_by_address(box.open_as(lead), lead, people.Staff("new", name, email), role, NOW, box.new_id)

    assert by("Mo Maple", "nobody@school.example") is None
    with pytest.raises(GrantError, match="another name") as error:
        by("Someone Else", f"{far.staff_id}@school.example")
    assert "Mo Maple" not in str(error.value)
    assert by("Mo  Maple", f"{far.staff_id}@SCHOOL.example") == Given(far.staff_id)
    assert {one.grant for one in grants.select_grants_of(box.db, far.staff_id)} >= {role.grant}


def test_making_an_account_anew_unties_the_directory(box: Box, lead: Actor) -> None:
    accept(box, add(box, lead, Grant(Role.DSL, academy_id="ashby")))
    stranger = Identity("https://issuer", "id-of-a-stranger", ("hedda@school.example",))
    admit_from_directory(box.db, stranger, "oidc", VISIT, NOW, box.new_id)
    accept(box, invite_staff(box.open_as(lead), lead, "hedda", NOW, box.new_id))
    assert directory.select_links(box.db, "hedda") == []
    (detail,) = box.db.conn.execute(
        "SELECT detail FROM audit WHERE kind = 'invitation:used' ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    assert '"ties_removed":1' in detail


def test_the_directory_does_not_come_before_the_person_a_link_was_made_for(box: Box, lead: Actor) -> None:
    token = add(box, lead, Grant(Role.DSL, academy_id="ashby"))
    vouched = Identity("https://issuer", "some-id", ("hedda@school.example",))
    box.db.conn.execute("UPDATE invitation SET expires_at = ? WHERE id <> ?", [to_text(NOW), digest(token)])
    for at in (NOW, NOW + timedelta(days=4)):
        with pytest.raises(DirectoryRefusedError) as refused:
            admit_from_directory(box.db, vouched, "oidc", VISIT, at, box.new_id)
        assert refused.value.refusal is Refusal.INVITED
    accept(box, token)
    assert admit_from_directory(box.db, vouched, "oidc", VISIT, NOW, box.new_id) == "hedda"


def test_each_trust_of_a_box_gets_a_first_lead_and_no_second(box: Box) -> None:
    from appliance.workflow.invite import FirstLead, accept_first_link

    db = box.open_as(None)
    with pytest.raises(InvitationError, match="trust"):
        invite_first_lead(box.db, NOW)
    with pytest.raises(InvitationError, match="trust"):
        invite_first_lead(box.db, NOW, "no such trust")
    for trust_id in ("maple", "larch"):
        token = invite_first_lead(box.db, NOW, trust_id) or ""
        lead = FirstLead("Robin First", f"robin@{trust_id}.example")
        staff_id = accept_first_link(db, token, lead, PASSWORD, NOW, box.new_id)
        (held,) = grants.select_grants_of(box.db, staff_id)
        assert held.grant == Grant(Role.TRUST_LEAD, trust_id=trust_id)
        assert invite_first_lead(box.db, NOW, trust_id) is None
        assert sessions.get_invitation(box.db, digest(token)) is not None
        with pytest.raises(InvitationError, match="used"):
            accept_first_link(db, token, lead, PASSWORD, NOW, box.new_id)
