"""The rules of signing in: what a session owes, how long one waits, which codes and passwords count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.safeguarding.sign_in import (
    ADDRESS,
    HERE,
    IDLE_LIMIT,
    KNOWN_DEVICE,
    SECOND_FACTOR_ANYWHERE,
    SESSION_LIMIT,
    Allowance,
    Session,
    Step,
    account_key,
    address_key,
    code_step,
    is_fresh,
    network_key,
    next_step,
    password_problem,
    plain_code,
    recovery_code,
    recovery_digest,
    steps_accepted,
    wait_until,
)

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
SECONDS = st.integers(0, int(SESSION_LIMIT.total_seconds()) * 2).map(lambda seconds: timedelta(seconds=seconds))
ALLOWANCES = st.sampled_from([HERE, ADDRESS, KNOWN_DEVICE, SECOND_FACTOR_ANYWHERE])


def session(
    begun: timedelta = timedelta(minutes=5),
    idle: timedelta = timedelta(0),
    proved: bool = True,
    locked: bool = False,
    ended: bool = False,
) -> Session:
    begun_at, seen_at = NOW - begun, NOW - min(idle, begun)
    return Session(
        "id",
        "sam",
        "password",
        begun_at,
        seen_at,
        begun_at,
        begun_at if proved else None,
        seen_at if locked else None,
        NOW if ended else None,
        0,
        "",
        "",
    )


def test_a_session_opens_only_with_what_the_person_owes() -> None:
    unproved = session(proved=False)
    assert next_step(unproved, needs_factor=False, has_factor=False, now=NOW) is Step.OPEN
    assert next_step(unproved, needs_factor=True, has_factor=False, now=NOW) is Step.ENROL
    assert next_step(unproved, needs_factor=True, has_factor=True, now=NOW) is Step.SECOND_FACTOR
    assert next_step(unproved, needs_factor=False, has_factor=True, now=NOW) is Step.SECOND_FACTOR
    assert next_step(session(), needs_factor=True, has_factor=True, now=NOW) is Step.OPEN
    assert next_step(session(locked=True), needs_factor=True, has_factor=True, now=NOW) is Step.UNLOCK
    assert next_step(None, needs_factor=True, has_factor=True, now=NOW) is Step.SIGN_IN


def test_who_needs_a_second_factor_and_has_none_signs_in_anew_instead_of_unlocking() -> None:
    by_directory = replace(session(), method="oidc")
    assert next_step(by_directory, needs_factor=True, has_factor=False, now=NOW) is Step.OPEN
    for shut in (session(idle=IDLE_LIMIT, begun=timedelta(hours=1)), session(locked=True)):
        for one in (shut, replace(shut, method="oidc")):
            assert next_step(one, needs_factor=True, has_factor=False, now=NOW) is Step.SIGN_IN
    # given once, and removed since; or given beside the directory, which had vouched for none
    for one in (session(), replace(by_directory, second_factor_at=NOW)):
        assert next_step(one, needs_factor=True, has_factor=False, now=NOW) is Step.ENROL


@given(SECONDS, SECONDS, st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_no_session_is_open_that_owes_anything(
    begun: timedelta, idle: timedelta, proved: bool, locked: bool, ended: bool, needs: bool, has: bool
) -> None:
    one = session(begun, idle, proved, locked, ended)
    if next_step(one, needs, has, NOW) is Step.OPEN:
        assert not ended and not locked
        assert NOW - one.begun_at < SESSION_LIMIT
        assert NOW - one.seen_at < IDLE_LIMIT
        assert has or not needs
        assert proved or not has


def test_a_session_locks_and_ends_on_the_minute() -> None:
    a_second = timedelta(seconds=1)
    for idle, step in ((IDLE_LIMIT - a_second, Step.OPEN), (IDLE_LIMIT, Step.UNLOCK)):
        assert next_step(session(timedelta(hours=1), idle), True, True, NOW) is step
    for begun, step in ((SESSION_LIMIT - a_second, Step.OPEN), (SESSION_LIMIT, Step.SIGN_IN)):
        assert next_step(session(begun), True, True, NOW) is step
    # who gave only the password does not get a page to wait at all day
    assert next_step(session(timedelta(hours=1), IDLE_LIMIT, proved=False), True, True, NOW) is Step.SIGN_IN


def test_ways_of_signing_in_are_changed_only_soon_after_proving_oneself() -> None:
    assert is_fresh(session(timedelta(minutes=9)), NOW)
    assert not is_fresh(session(timedelta(minutes=10)), NOW)


@given(st.integers(0, 1000), ALLOWANCES)
def test_a_wait_grows_and_never_becomes_a_lock(failures: int, allowance: Allowance) -> None:
    until = wait_until(failures, NOW, allowance)
    after = wait_until(failures + 1, NOW, allowance)
    if failures < allowance.free:
        assert until is None
    else:
        assert until is not None and after is not None
        assert NOW < until <= after <= NOW + allowance.longest_wait


@given(ALLOWANCES)
def test_one_who_never_stops_trying_gets_few_tries_a_day(allowance: Allowance) -> None:
    tries: list[datetime] = []
    at = NOW
    while at < NOW + timedelta(days=1):
        recent = [one for one in tries if one > at - allowance.window]
        until = wait_until(len(recent), recent[-1] if recent else None, allowance)
        if until is not None and until > at:
            at = until
        tries.append(at)
    assert len(tries) <= 24 * (allowance.free + 12)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "unknown"),
    ],
)
def test_one_ipv6_host_counts_as_one_however_it_roams(address: str, key: str) -> None:
    assert network_key(address) == key


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:AAAA:0:0:1", "2001:db8:1:2:aaaa::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix:", "unknown"),
    ],
)
def test_tries_for_one_account_are_counted_by_host_and_not_by_network(address: str, key: str) -> None:
    assert address_key(address) == key


def test_an_account_is_counted_by_its_address_however_it_is_typed() -> None:
    assert account_key(" Sam@School.example") == account_key("sam@school.example")
    assert "sam" not in account_key("sam@school.example")


@given(st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1)), st.integers(-3, 3))
def test_only_codes_of_now_and_one_step_either_side_count_and_none_twice(at: datetime, used: int) -> None:
    now = at.replace(tzinfo=UTC)
    current = code_step(now)
    assert sorted(steps_accepted(now, None)) == [current - 1, current, current + 1]
    left = steps_accepted(now, current + used)
    assert all(step > current + used for step in left)
    assert set(left) <= {current - 1, current, current + 1}


@given(st.binary(min_size=16, max_size=16))
def test_a_recovery_code_is_found_again_however_it_is_typed(chance: bytes) -> None:
    code = recovery_code(chance)
    assert len(plain_code(code)) == 16
    assert recovery_digest("sam", code.upper().replace("-", " ")) == recovery_digest("sam", code)
    assert recovery_digest("alex", code) != recovery_digest("sam", code)


COMMON = frozenset({"password", "liverpool", "letmein", "qwertyuiop", "safeguarding"})
ABOUT = ("Sam Trewin", "sam.trewin@larkmere.example")


@pytest.mark.parametrize(
    "password",
    [
        "elevenletter",  # not refused for a rule about signs
        "correct kettle plover",
        "velvet-otter-anchor",
        "trewin likes velvet otters",
        "ßtraße und käse",
    ],
)
def test_a_long_password_of_ones_own_will_do(password: str) -> None:
    assert password_problem(password, ABOUT, COMMON) is None


@pytest.mark.parametrize(
    ("password", "word"),
    [
        ("short", "at least 12"),
        ("x" * 201, "at most 200"),
        ("aaaaaaaaaaaaaa", "over and over"),
        ("123456789012", "over and over"),
        ("qwertyuiopqwertyuiop", "over and over"),
        ("Password1234!", "tried first"),
        ("P@ssw0rd2026!!", "tried first"),
        ("liverpoolliverpool", "tried first"),
        ("!!Safeguarding1", "tried first"),
        ("samtrewin2026", "your name"),
        ("larkmere.trewin", "your name"),
    ],
)
def test_a_password_that_others_would_try_is_refused(password: str, word: str) -> None:
    problem = password_problem(password, ABOUT, COMMON)
    assert problem is not None and word in problem
