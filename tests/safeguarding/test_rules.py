"""The rules that a DSL could argue with, as tables and properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.safeguarding.access import ROLES, Actor, Grant, Permission, Role, academies_for, may
from appliance.safeguarding.escalation import RETRY_AFTER, due_at, next_try_at, roles_told
from appliance.safeguarding.event import EVENT_TRANSITIONS, EventState
from appliance.safeguarding.moderation import FALSE_POSITIVE_REASONS, FalsePositiveReason, state_after_assessment
from appliance.safeguarding.referral import AGENCIES, CONSENTS, Agency, Consent, NewReferral, check_referral
from appliance.safeguarding.roles import PUPIL_CONTENT
from appliance.safeguarding.severity import CATEGORIES, LEVEL_CRITERIA, Category, Severity, category_label

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
TRUSTS = {"larch": frozenset({"ashby", "birch"}), "maple": frozenset({"cedar"})}


def test_every_state_is_a_key_and_only_known_states_follow() -> None:
    assert set(EVENT_TRANSITIONS) == set(EventState)
    assert all(following <= set(EventState) for following in EVENT_TRANSITIONS.values())


def test_every_state_can_be_reached() -> None:
    reached, todo = {EventState.RECEIVED}, [EventState.RECEIVED]
    while todo:
        for following in EVENT_TRANSITIONS[todo.pop()] - reached:
            reached.add(following)
            todo.append(following)
    assert reached == set(EventState)


def test_every_list_has_its_words() -> None:
    assert set(CATEGORIES) == set(Category)
    assert set(LEVEL_CRITERIA) == set(Severity)
    assert set(ROLES) == set(Role)
    assert set(FALSE_POSITIVE_REASONS) == set(FalsePositiveReason)
    assert set(AGENCIES) == set(Agency) and set(CONSENTS) == set(Consent)
    assert all(info.description.endswith(".") for info in ROLES.values())


def test_a_dsl_reads_the_fields_heading_first() -> None:
    assert category_label(Category.ABUSE) == "Vulnerable Person: Abuse or neglect"
    assert category_label(Category.BULLYING) == "Bullying"


def test_no_grant_is_the_empty_set() -> None:
    nobody = Actor("s", "Nobody", (), TRUSTS)
    assert all(academies_for(nobody, permission) == frozenset() for permission in Permission)


def test_a_grant_is_at_a_trust_or_at_an_academy() -> None:
    for wrong in ({}, {"trust_id": "larch", "academy_id": "ashby"}):
        with pytest.raises(ValueError, match="one trust or at one academy"):
            Grant(Role.DSL, **wrong)


grants = st.builds(
    lambda role, where: Grant(role, **{where[0]: where[1]}),
    st.sampled_from(Role),
    st.sampled_from(
        [("trust_id", "larch"), ("trust_id", "maple"), ("trust_id", "gone")]
        + [("academy_id", name) for name in ("ashby", "birch", "cedar")]
    ),
)


@given(st.lists(grants, max_size=5), st.sampled_from(Permission))
def test_academies_are_those_of_the_grants_that_carry_the_permission(
    given: list[Grant], permission: Permission
) -> None:
    actor = Actor("s", "Somebody", tuple(given), TRUSTS)
    expected = {
        academy
        for academy in ("ashby", "birch", "cedar")
        if any(
            permission in ROLES[grant.role].permissions
            and (grant.academy_id == academy or academy in TRUSTS.get(grant.trust_id or "", ()))
            for grant in given
        )
    }
    assert academies_for(actor, permission) == expected
    assert all(may(actor, permission, academy) for academy in expected)


def test_a_technician_can_never_see_what_a_pupil_wrote() -> None:
    held = ROLES[Role.TECHNICIAN].permissions
    assert held == {Permission.DEVICE_MANAGE, Permission.DEVICE_VIEW}
    assert not held & PUPIL_CONTENT


@given(st.sampled_from(Category), st.sampled_from(Severity), st.sampled_from(Category))
def test_the_machine_sets_aside_only_what_no_person_must_read(
    category: Category, level: Severity, rule: Category
) -> None:
    if state_after_assessment(category, level, rule) is EventState.LOGGED:
        assert category is Category.NONE or (level < Severity.LOW and not CATEGORIES[category].always_read)


def test_the_higher_the_level_the_more_people_and_the_less_time() -> None:
    told = [set(roles_told(level)) for level in (Severity.CREDIBLE, Severity.SERIOUS, Severity.IMMEDIATE)]
    assert told[0] <= told[1] <= told[2]
    due = [due_at(level, NOW) for level in (Severity.CREDIBLE, Severity.SERIOUS, Severity.IMMEDIATE)]
    assert due[0] > due[1] > due[2]
    assert roles_told(Severity.LOW) == ()


@given(st.integers(1, 1000))
def test_a_message_is_tried_again_for_ever(attempts: int) -> None:
    assert RETRY_AFTER[0] <= next_try_at(attempts, NOW) - NOW <= timedelta(minutes=30)


def test_a_referral_without_consent_says_why() -> None:
    given = NewReferral("r", Agency.POLICE, "Telephone", "", "Reason", Consent.GIVEN)
    check_referral(given)
    with pytest.raises(ValueError, match="without the family's consent"):
        check_referral(NewReferral("r", Agency.POLICE, "Telephone", "", "Reason", Consent.REFUSED))
