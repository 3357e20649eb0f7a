"""The policy document: what is wrong with it is said with its place, all at once."""

import json
from pathlib import Path

import pytest

from agent.policy import PolicyError, load_policy, parse_policy

STARTER = Path(__file__).parents[2] / "agent" / "policies" / "starter.json"
RULE = {"id": "one", "category": "abuse", "phrases": ["scared to go home"]}
GOOD = {"version": "1", "academy": "Larkfield Academy", "rules": [RULE]}


def test_the_starter_policy_is_good():
    assert len(load_policy(STARTER).rules) > 8


def test_what_is_left_out_has_its_default():
    policy = parse_policy(GOOD)
    assert (policy.context_minutes, policy.rules[0].within_words, policy.rules[0].unless_any) == (10, 8, ())


FAULTS = [
    ([], "policy: must be an object"),
    ({**GOOD, "version": ""}, "version: must be text"),
    ({**GOOD, "version": 3}, "version: must be text"),
    ({**GOOD, "version": "1" * 101}, "version: must hold at most 100 characters"),
    ({**GOOD, "rules": []}, "rules: must be a list of at least one rule"),
    ({**GOOD, "rules": {}}, "rules: must be a list"),
    ({**GOOD, "colour": "red"}, "'colour' is not a known field"),
    ({**GOOD, "context_minutes": "ten"}, "context_minutes: must be a number from 0 to 120"),
    ({**GOOD, "context_minutes": True}, "context_minutes: must be a number"),
    ({**GOOD, "excluded_applications": "all"}, "excluded_applications: must be a list of texts"),
    ({**GOOD, "excluded_addresses": [1]}, "excluded_addresses[0]: must be text"),
    ({**GOOD, "rules": [7]}, "rules[0]: must be an object"),
    ({**GOOD, "rules": [{"id": "one", "category": "abuse"}]}, "rules[0]: 'phrases' is missing"),
    ({**GOOD, "rules": [{**RULE, "phrases": []}]}, "rules[0].phrases: must hold at least one phrase"),
    ({**GOOD, "rules": [{**RULE, "phrases": ["!!"]}]}, "rules[0].phrases[0]: holds no word"),
    ({**GOOD, "rules": [{**RULE, "unless": ["x y"]}]}, "rules[0]: 'unless' is not a known field"),
    ({**GOOD, "rules": [{**RULE, "within_words": 0}]}, "rules[0].within_words: must be a number from 1 to 50"),
    ({**GOOD, "rules": [{**RULE, "id": "One Two"}]}, "rules[0].id: may hold only"),
    ({**GOOD, "rules": [RULE, RULE]}, "rules[1].id: 'one' is used twice"),
]


@pytest.mark.parametrize(("document", "fault"), FAULTS, ids=[fault for _, fault in FAULTS])
def test_a_fault_is_named(document, fault):
    with pytest.raises(PolicyError) as caught:
        parse_policy(document)
    assert fault in str(caught.value)


def test_every_fault_is_named_at_once():
    with pytest.raises(PolicyError) as caught:
        parse_policy({"version": "", "rules": [{**RULE, "phrases": [""]}, {"id": "two"}]})
    assert len(str(caught.value).splitlines()) >= 5


def test_a_file_that_is_no_policy_is_named(tmp_path):
    for name, content, words in (
        ("a.json", b"{", "line 1"),
        ("b.json", b"\xff", "UTF-8"),
        ("c.json", json.dumps({**GOOD, "version": None}).encode(), "version"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PolicyError, match=words):
            load_policy(tmp_path / name)
    with pytest.raises(PolicyError, match="can't be read"):
        load_policy(tmp_path / "missing.json")


EXCLUDED = [
    ("KeePassXC", "", True),
    ("keepassxc", "", True),
    ("Chat", "", False),
    ("Browser", "https://childline.example/", True),
    ("Browser", "childline.example", True),
    ("Browser", "https://www.childline.example:443/page?q=1#top", True),
    ("Browser", "http://chat.childline.example/room", True),
    ("Browser", "https://notchildline.example/", False),
    ("Browser", "https://search.example/?q=childline.example", False),
    ("Browser", "https://nhs.example/my-record", True),
    ("Browser", "https://nhs.example/my-record/letters", True),
    ("Browser", "https://nhs.example/my-records", False),
    ("Browser", "https://nhs.example/", False),
    ("Browser", "https://childline.example@evil.example/", False),
]


@pytest.mark.parametrize(("application", "address", "excluded"), EXCLUDED)
def test_what_is_excluded(application, address, excluded):
    policy = parse_policy(
        {
            **GOOD,
            "excluded_applications": ["KeePassXC"],
            "excluded_addresses": ["childline.example", "https://nhs.example/my-record"],
        }
    )
    assert policy.excludes(application, address) is excluded
