"""When a device is monitored: by the academy's own clocks, across clock changes, holidays, and on a kitchen table."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.policy import PolicyError, monitored_now, parse_policy

LONDON = ZoneInfo("Europe/London")
HOURS = {
    "time_zone": "Europe/London",
    "weekly": [{"days": [1, 2, 3, 4, 5], "from": "08:00", "to": "18:00"}],
    "holidays": [{"from": "2025-10-27", "to": "2025-10-31", "name": "Half term"}],
    "take_home": False,
    "outside": "off",
}
DOCUMENT = {
    "version": "1",
    "academy": "Larkfield Academy",
    "rules": [{"id": "one", "category": "abuse", "phrases": ["scared to go home"]}],
}


def policy(**hours):
    return parse_policy({**DOCUMENT, "hours": {**HOURS, **hours}})


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


CASES = [
    # summer time: London is an hour ahead of UTC
    ("2025-09-08T06:59:59", False),
    ("2025-09-08T07:00:00", True),
    ("2025-09-08T16:59:59", True),
    ("2025-09-08T17:00:00", False),
    ("2025-09-13T10:00:00", False),  # a Saturday
    # the last school day of summer time, and the first after the clocks went back on 26 October and half term
    ("2025-10-24T07:00:00", True),
    ("2025-11-03T07:30:00", False),
    ("2025-11-03T08:00:00", True),
    ("2025-11-03T17:30:00", True),
    # half term: both its dates are free, by London's midnight
    ("2025-10-27T10:00:00", False),
    ("2025-10-31T10:00:00", False),
    # the clocks go forward on 29 March 2026
    ("2026-03-27T08:00:00", True),
    ("2026-03-27T07:30:00", False),
    ("2026-03-30T07:30:00", True),
]


@pytest.mark.parametrize(("when", "monitored"), CASES)
def test_the_hours_are_those_on_the_schools_wall(when, monitored):
    assert monitored_now(policy(), utc(when)) is monitored
    # the answer is the same whatever zone the time is told in
    assert monitored_now(policy(), utc(when).astimezone(ZoneInfo("Asia/Tokyo"))) is monitored


@pytest.mark.parametrize(
    ("take_home", "outside", "monitored"),
    [(False, "off", False), (False, "monitored", False), (True, "off", False), (True, "monitored", True)],
)
def test_outside_the_hours_a_device_is_monitored_only_where_it_goes_home_and_the_trust_says_so(
    take_home, outside, monitored
):
    rule = policy(take_home=take_home, outside=outside)
    for when in ("2025-09-08T20:00:00", "2025-10-28T10:00:00", "2025-09-13T10:00:00"):
        assert monitored_now(rule, utc(when)) is monitored
    assert monitored_now(rule, utc("2025-09-08T10:00:00"))


def test_without_hours_a_device_is_monitored_always():
    assert monitored_now(parse_policy(DOCUMENT), utc("2025-12-25T03:00:00"))


def test_a_span_to_the_end_of_the_day_includes_its_last_minute():
    rule = policy(weekly=[{"days": [7], "from": "00:00", "to": "24:00"}])
    # 26 October 2025 has 25 hours, and all of them belong to it
    local = datetime(2025, 10, 26, tzinfo=LONDON).astimezone(UTC)
    assert all(monitored_now(rule, local + timedelta(minutes=minute)) for minute in range(25 * 60))
    assert not monitored_now(rule, local + timedelta(hours=25))
    assert not monitored_now(rule, local - timedelta(minutes=1))


@given(st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)))
def test_nothing_changes_before_the_next_change(when):
    now, hours = when.replace(tzinfo=UTC), policy().hours
    change = hours.next_change(now)
    assert now < change <= now + timedelta(minutes=15)
    minutes = int((change - now) / timedelta(minutes=1))
    assert len({hours.monitored_at(now + timedelta(minutes=m)) for m in range(minutes)}) <= 1


FAULTS = [
    ({"time_zone": "Europe/Larkfield"}, "hours.time_zone: is not a time zone"),
    ({"time_zone": "../../etc/passwd"}, "hours.time_zone: is not a time zone"),
    ({"weekly": {}}, "hours.weekly: must be a list of spans"),
    ({"weekly": [{"days": [0], "from": "08:00", "to": "18:00"}]}, "hours.weekly[0].days[0]: must be a whole number"),
    ({"weekly": [{"days": [1], "from": "8:00", "to": "18:00"}]}, "hours.weekly[0].from: must be a time"),
    ({"weekly": [{"days": [1], "from": "18:00", "to": "08:00"}]}, "hours.weekly[0]: must end after"),
    ({"weekly": [{"days": [1], "from": "08:00"}]}, "hours.weekly[0]: 'to' is missing"),
    ({"holidays": [{"from": "2025-12-22", "to": "2025-12-01"}]}, "hours.holidays[0]: must not end before"),
    ({"holidays": [{"from": "22/12/2025", "to": "2026-01-02"}]}, "hours.holidays[0].from: must be a date"),
    ({"outside": "sometimes"}, "hours.outside: must be one of"),
    ({"take_home": "yes"}, "hours.take_home: must be true or false"),
]


@pytest.mark.parametrize(("hours", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_fault_is_named_with_its_place(hours, fault):
    with pytest.raises(PolicyError) as caught:
        policy(**hours)
    assert fault in str(caught.value)
