"""The extension's own modules, run in Chromium: one table with the agent's matcher, policies, hours, the outbox."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unicodedata import ucd_3_2_0
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.checks import Checks
from agent.hours import read_hours
from agent.matcher import Matcher
from agent.normalise import split_runs
from agent.policy import parse_policy
from appliance.broker.sealing import open_sealed
from tests.extension.box import PolicyKey, policy_document
from tests.extension.browser import Browser, Page

TABLE = json.loads((Path(__file__).parents[1] / "agent" / "matcher_cases.json").read_text(encoding="utf-8"))
STARTER = json.loads((Path(__file__).parents[2] / "agent" / "policies" / "starter.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, unpacked: Path) -> Iterator[Page]:
    """A page of the extension, in which its modules can be imported."""
    browser = Browser(tmp_path_factory.mktemp("home") / "profile", extension=unpacked)
    yield browser.open(f"chrome-extension://{browser.extension_id()}/setup.html")
    browser.close()


def run(page: Page, script: str, *values: object) -> Any:
    """The value of an async function's body; ``values`` are its arguments, given as a list called ``given``."""
    return page.evaluate(f"(async (given) => {{ {script} }})({json.dumps(values)})")


MATCH = """
    const { Matcher } = await import('/matcher.js');
    const { parseCommonWords } = await import('/lexicon.js');
    const { parsePolicy } = await import('/policy.js');
    const [document, texts] = given;
    const common = parseCommonWords(await (await fetch('/common_words.txt')).text());
    const matcher = new Matcher(parsePolicy(document), common);
    return texts.map((text) => matcher.find(text).map((hit) => [hit.rule.id, text.slice(hit.start, hit.end)]));
"""
DATES = {"number": 1, "issued_at": "2025-09-01T07:00:00+00:00", "expires_at": "2099-09-01T07:00:00+00:00"}


def test_the_table_of_the_agents_matcher(page: Page) -> None:
    found = run(page, MATCH, {**TABLE["policy"], **DATES}, [case["text"] for case in TABLE["cases"]])
    wrong = []
    for case, hits in zip(TABLE["cases"], found, strict=True):
        right = [rule for rule, _ in hits] == case["fires"] and (not hits or hits[0][1] == case["trigger"])
        if not right:
            wrong.append((case["text"], case["fires"], hits))
    assert wrong == []


WORDS = [word for rule in STARTER["rules"] for phrase in rule["phrases"] for word in phrase.split()]
ODD = [
    "a",
    "i",
    "the",
    "gaem",
    "killl",
    "h1ts",
    "m3",
    "schooool",
    "pur",
    "ple",
    "d@d",
    "Hits",
    "k",
    "m",
    "s",
    "my self",
]
SENTENCES = st.lists(st.sampled_from(WORDS + ODD), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(SENTENCES.map(" ".join) | st.text(max_size=60), min_size=10, max_size=10))
def test_both_matchers_say_the_same_of_any_text(page: Page, texts: list[str]) -> None:
    texts = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts]
    matcher = Matcher(parse_policy(STARTER))
    mine = [[[hit.rule.id, text[hit.start : hit.end]] for hit in matcher.find(text)] for text in texts]
    assert run(page, MATCH, {**STARTER, **DATES}, texts) == mine


# characters that every Unicode of the last twenty years has: Python and Chromium come with different ones
KNOWN = st.characters(codec="utf-8", max_codepoint=0xFFFF).filter(lambda one: ucd_3_2_0.category(one) != "Cn")
KNOWN |= st.sampled_from("𝐰𝒂𝕟𝓉①½ªŉǆﬀﬃＫ℡ﷺ'@$!|+*'`´ 019")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(alphabet=KNOWN, max_size=40), min_size=25, max_size=25))
def test_both_normalisers_say_the_same_of_any_text(page: Page, texts: list[str]) -> None:
    script = """
        const { splitRuns } = await import('/normalise.js');
        return given[0].map((text) => splitRuns(text).map((run) => run.text));
    """
    assert run(page, script, texts) == [[run.text for run in split_runs(text)] for text in texts]


def test_five_thousand_phrases(page: Page) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    phrases = [f"purple elephant number {a}{b}{c}" for a in letters for b in letters for c in letters[:8]][:5000]
    rules = [{"id": f"r{n}", "category": "none", "phrases": phrases[n::10]} for n in range(10)]
    script = """
        const { Matcher } = await import('/matcher.js');
        const { parsePolicy } = await import('/policy.js');
        const policy = parsePolicy(given[0]);
        const start = performance.now();
        const matcher = new Matcher(policy, new Set());
        const made = performance.now() - start;
        const text = 'the quick brown fox saw a purpel cat near the elephants house and went home again. '.repeat(5);
        const before = performance.now();
        for (let turn = 0; turn < 100; turn += 1) matcher.find(text);
        const each = (performance.now() - before) / 100;
        return { made, each, hits: matcher.find('a purpel 3l3phant number abc').map((hit) => hit.phrase) };
    """
    document = {"version": "1", "academy": "Larkfield", "rules": rules, **DATES}
    answer = run(page, script, document)
    print(f"5,000 phrases: made in {answer['made']:.0f} ms; 410 characters read in {answer['each']:.2f} ms")
    assert answer["hits"] == ["purple elephant number abc"]


# -- sealing


@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_what_is_sealed_in_the_browser_opens_at_the_box(page: Page, size: int) -> None:
    key = X25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    script = """
        const { seal, readBoxKey } = await import('/sealing.js');
        const { toBase64 } = await import('/encoding.js');
        const plain = new Uint8Array(given[1]).map((_, index) => index % 251);
        return toBase64(await seal(await readBoxKey(given[0]), 'an-id', plain));
    """
    sealed = base64.b64decode(run(page, script, pem, size))
    assert len(sealed) == size + 48
    assert open_sealed(key, "an-id", sealed) == bytes(index % 251 for index in range(size))


# -- policies

OPEN = """
    const { openEnvelope } = await import('/policy.js');
    const [envelope, key, options] = given;
    try { return (await openEnvelope(envelope, key, options)).number; } catch (error) { return error.message; }
"""
NOW = datetime(2025, 10, 1, tzinfo=UTC).timestamp() * 1000


def test_a_signed_policy_is_taken_and_every_other_is_refused(page: Page) -> None:
    key, other = PolicyKey(), PolicyKey()
    document = policy_document(number=5, expires_at="2026-01-01T00:00:00+00:00")
    envelope = key.sign(document)

    def opened(one: object, **options: object) -> object:
        return run(page, OPEN, one, key.pem, options)

    assert opened(envelope, now=NOW) == 5
    assert opened(document, now=NOW) == "the policy is not signed"
    assert opened({**envelope, "signature": ""}, now=NOW) == "the policy's signature is wrong"
    changed = {**envelope, "document": envelope["document"][:-4] + "AAAA"}
    assert opened(changed, now=NOW) == "the policy's signature is wrong"
    assert opened(other.sign(document), now=NOW) == "the policy is signed with another key"
    forged = {**other.sign(document), "key": envelope["key"]}
    assert opened(forged, now=NOW) == "the policy's signature is wrong"
    late = datetime(2026, 2, 1, tzinfo=UTC).timestamp() * 1000
    assert opened(envelope, now=late) == "the policy is past its time"
    assert opened(envelope) == 5  # the one that is held goes on working
    held = {"number": 6, "document": "x"}
    assert opened(envelope, now=NOW, held=held) == "the policy is older than the one in use"
    assert "other content" in str(opened(envelope, now=NOW, held={"number": 5, "document": "x"}))
    assert opened(envelope, now=NOW, held={"number": 5, "document": envelope["document"]}) == 5
    assert "rules" in str(opened(key.sign({**document, "rules": []}), now=NOW))
    assert "number" in str(opened(key.sign({k: v for k, v in document.items() if k != "number"}), now=NOW))


HOURS = {
    "time_zone": "Europe/London",
    "weekly": [
        {"days": [1, 2, 3, 4, 5], "from": "08:00", "to": "18:00"},
        {"days": [6], "from": "20:00", "to": "24:00"},
    ],
    "holidays": [{"from": "2025-10-27", "to": "2025-10-31", "name": "Half-term"}],
    "take_home": True,
    "outside": "off",
}


def test_hours_are_the_agents_hours(page: Page) -> None:
    zone = ZoneInfo("Europe/London")
    start = datetime(2025, 10, 18, tzinfo=zone)  # over the end of summer time, and a holiday
    times = [start + timedelta(minutes=37 * step) for step in range(900)]
    for change in ({}, {"outside": "monitored"}, {"outside": "monitored", "take_home": False}):
        described = {**HOURS, **change}
        hours = read_hours(Checks(), described, "hours")
        assert hours is not None
        script = """
            const { isMonitored } = await import('/policy.js');
            return given[1].map((at) => isMonitored({ hours: given[0] }, at));
        """
        found = run(page, script, described, [at.timestamp() * 1000 for at in times])
        assert found == [hours.monitored_at(at) for at in times]


def test_exclusions_are_the_agents_exclusions(page: Page) -> None:
    excluded = ["bank.example", "nhs.example/my-record", "www.help.example"]
    policy = parse_policy({**STARTER, "excluded_addresses": excluded})
    addresses = [
        "https://bank.example", "https://bank.example/", "http://www.bank.example:8080/in?x=1", "https://online.bank.example/a",
        "https://notbank.example/", "https://nhs.example/", "https://nhs.example/my-record/2", "https://nhs.example/my-records",
        "https://help.example/#chat", "help.example", "https://user:pw@help.example/x", "", "about:blank", "https://bank.example.evil.example/",
    ]  # fmt: skip
    script = """
        const { excludes } = await import('/policy.js');
        const policy = { excludedApplications: [], excludedAddresses: given[0] };
        return given[1].map((address) => excludes(policy, 'Chromium', address));
    """
    assert run(page, script, excluded, addresses) == [policy.excludes("Chromium", one) for one in addresses]


# -- the outbox

OUTBOX = """
    const { openOutbox } = await import('/outbox.js');
    const { sha256 } = await import('/encoding.js');
    const outbox = await openOutbox('test-' + Math.random(), 'an-epoch', given[0] ?? undefined);
    const put = (id, image, text = 100, now = 1000) => outbox.put(async (sequence) => ({
        messageId: id,
        full: image ? new Uint8Array(image).fill(sequence) : null,
        text: new Uint8Array(text).fill(sequence),
    }), now);
    const digest = async (id, image = true) => sha256(await outbox.payload(id, image));
"""


def test_images_go_before_text_when_the_outbox_is_full(page: Page) -> None:
    answer = run(page, OUTBOX + """
        for (let n = 1; n <= 10; n += 1) await put('m' + n, 1000);
        const rows = await outbox.due(5000, 20, new Set());
        return { rows: rows.map((r) => [r.messageId, r.fullBytes, r.textBytes]), figures: await outbox.figures() };
    """, 5000)  # fmt: skip
    assert [name for name, _, _ in answer["rows"]] == [f"m{n}" for n in range(1, 11)]
    assert all(text == 100 for _, _, text in answer["rows"])
    kept = [name for name, full, _ in answer["rows"] if full]
    assert kept == ["m7", "m8", "m9", "m10"]  # the oldest images went
    assert answer["figures"]["images_dropped"] == 6 and answer["figures"]["queue_depth"] == 10
    assert answer["figures"]["highest_sequence"] == 10


def test_only_a_receipt_with_the_events_own_digest_counts(page: Page) -> None:
    answer = run(page, OUTBOX + """
        await put('a', 500); await put('b', 500);
        const wrong = await outbox.receipt('a', await digest('b'), 2000);
        const right = await outbox.receipt('a', await digest('a'), 2000);
        const again = await outbox.receipt('a', await digest('a'), 2000);
        const waiting = (await outbox.due(5000, 9, new Set())).map((r) => r.messageId);
        const resent = await outbox.resend('another-epoch', 1);
        const count = await outbox.resend('an-epoch', 1);
        const after = (await outbox.due(5000, 9, new Set())).map((r) => r.messageId);
        return { wrong, right, again, waiting, resent, count, after };
    """, None)  # fmt: skip
    assert answer == {
        "wrong": False, "right": True, "again": False, "waiting": ["b"], "resent": 0, "count": 2, "after": ["a", "b"],
    }  # fmt: skip


def test_what_the_box_has_is_kept_for_a_day_and_goes_first_when_room_is_wanted(page: Page) -> None:
    answer = run(page, OUTBOX + """
        const day = 86400000;
        await put('a', 1000); await put('b', 1000);
        for (const id of ['a', 'b']) await outbox.receipt(id, await digest(id), id === 'a' ? 0 : day);
        await outbox.forgetReceipted(day + 5);
        const kept = (await outbox.rows()).map((r) => r.messageId);
        for (const id of ['c', 'd', 'e', 'f']) await put(id, 1000);
        return { kept, after: (await outbox.rows()).map((r) => [r.messageId, r.fullBytes]) };
    """, 4500)  # fmt: skip
    assert answer["kept"] == ["b"]
    assert answer["after"] == [["c", 1000], ["d", 1000], ["e", 1000], ["f", 1000]]


def test_a_rejected_event_is_kept_apart_and_is_not_sent_again(page: Page) -> None:
    answer = run(page, OUTBOX + """
        await put('a', 0); await put('b', 0);
        const done = await outbox.reject('a', await digest('a', false), 'too old', 2000);
        const due = (await outbox.due(5000, 9, new Set())).map((row) => row.messageId);
        return { done, due, figures: await outbox.figures() };
    """, None)  # fmt: skip
    assert answer["done"] is True and answer["due"] == ["b"]
    assert answer["figures"]["dead_letters"] == 1 and answer["figures"]["lowest_unreceipted"] == 2


def test_numbers_are_given_once_and_in_order_however_many_events_come_at_once(page: Page) -> None:
    sequences = run(page, OUTBOX + "return Promise.all(Array.from({length: 30}, (_, n) => put('m' + n, 50)));", None)
    assert sequences == list(range(1, 31))
