"""The demo trust's people fit together: numbers, names, ages and roles."""

import json
import re
from collections import Counter
from datetime import date

import pytest

from appliance.safeguarding.access import Role
from demo.content import TRUST_FILE, load_trust

TRUST = load_trust()
ACADEMIES = {academy.key for academy in TRUST.academies}
CHECK_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"


def check_letter(digits: str) -> str:
    """A permanent UPN's first letter: the twelve digits weighted 2 to 13, modulo 23 (DfE's UPN guide)."""
    return CHECK_LETTERS[sum(int(digit) * weight for weight, digit in enumerate(digits, start=2)) % 23]


@pytest.mark.parametrize("upn", ["B801200005001", "R674123101121", "P207000016049"])
def test_the_check_letter_rule_agrees_with_published_numbers(upn: str) -> None:
    assert check_letter(upn[1:]) == upn[0]


def test_every_upn_is_valid_permanent_and_held_once() -> None:
    upns = [pupil.upn for pupil in TRUST.pupils]
    assert len(upns) >= 60
    for upn in upns:
        assert re.fullmatch(r"[A-HJ-NP-RT-Z][0-9]{12}", upn)
        assert check_letter(upn[1:]) == upn[0], upn
    assert len(set(upns)) == len(upns)


def test_every_birthday_fits_the_year_group() -> None:
    first_autumn = int(TRUST.school_year[:4])
    for pupil in TRUST.pupils:
        year = 0 if pupil.year_group == "R" else int(pupil.year_group)
        born = first_autumn - 5 - year
        assert date(born, 9, 1) <= pupil.born_on <= date(born + 1, 8, 31), pupil.account


def test_no_upn_was_issued_before_school_or_after_this_year() -> None:
    for pupil in TRUST.pupils:
        started = int(TRUST.school_year[2:4]) - (0 if pupil.year_group == "R" else int(pupil.year_group))
        assert started <= int(pupil.upn[8:10]) <= int(TRUST.school_year[2:4]), pupil.account


def test_pupils_are_of_the_ages_their_academy_teaches() -> None:
    years = {"primary": range(0, 7), "secondary": range(7, 12), "sixth_form": range(12, 14)}
    phases = {academy.key: academy.phase for academy in TRUST.academies}
    for pupil in TRUST.pupils:
        year = 0 if pupil.year_group == "R" else int(pupil.year_group)
        assert year in years[phases[pupil.academy]], pupil.account


def test_accounts_are_unique_and_made_of_the_name() -> None:
    accounts = [pupil.account for pupil in TRUST.pupils]
    assert len(set(accounts)) == len(accounts)
    for pupil in TRUST.pupils:
        assert pupil.account == f"{pupil.forename[0]}.{pupil.surname}".lower()


def test_no_two_people_share_a_name() -> None:
    names = [f"{pupil.forename} {pupil.surname}" for pupil in TRUST.pupils] + [person.name for person in TRUST.staff]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_scope_device_and_pupil_names_an_academy_of_the_trust() -> None:
    assert len(ACADEMIES) == 3
    assert {pupil.academy for pupil in TRUST.pupils} == ACADEMIES
    assert {device.academy for device in TRUST.devices} == ACADEMIES
    assert {person.academy for person in TRUST.staff} == ACADEMIES | {None}


def test_every_academy_has_one_dsl_and_one_deputy() -> None:
    for role in (Role.DSL, Role.DEPUTY_DSL):
        assert sorted(str(person.academy) for person in TRUST.staff if person.role is role) == sorted(ACADEMIES)


def test_a_visitor_can_sign_in_as_one_of_each_of_four_roles() -> None:
    demo = {person.role: person for person in TRUST.staff if person.demo}
    assert sum(person.demo for person in TRUST.staff) == 4
    assert set(demo) == {Role.TRUST_LEAD, Role.DSL, Role.MODERATOR, Role.TECHNICIAN}
    secondary = next(academy.key for academy in TRUST.academies if academy.phase == "secondary")
    assert demo[Role.DSL].academy == secondary
    assert all(demo[role].academy is None for role in demo if role is not Role.DSL)


def test_addresses_of_staff_can_reach_nobody_and_the_file_holds_no_password() -> None:
    emails = [person.email for person in TRUST.staff]
    assert len(set(emails)) == len(emails)
    assert all(email.endswith(".example") for email in emails)
    fields = {name for entries in json.loads(TRUST_FILE.read_text(encoding="utf-8")).values()
              if isinstance(entries, list) for entry in entries for name in entry}  # fmt: skip
    assert not [name for name in fields if "pass" in name or "secret" in name]


def test_some_pupils_carry_a_flag_and_most_do_not() -> None:
    flags = Counter(flag for pupil in TRUST.pupils for flag in pupil.flags)
    assert {"young_carer", "cp_plan", "send", "looked_after"} <= flags.keys()
    assert sum(bool(pupil.flags) for pupil in TRUST.pupils) < len(TRUST.pupils) / 2
