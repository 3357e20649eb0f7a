"""The worker with a real database, index, mail server and engines: what it does, survives, and never lets out."""

import contextlib
import hashlib
import io
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from queue import Queue

import cv2
import numpy as np
import pytest
from aiosmtpd.controller import Controller
from PIL import Image, ImageDraw, ImageFont
from sqlite_utils import Database

from appliance.config import Config
from appliance.indexing import index_once, reindex, start_indexing
from appliance.ocr.preview import WIDTH, make_preview
from appliance.safeguarding.access import Grant, Role
from appliance.safeguarding.concern import NewConcern
from appliance.safeguarding.event import Capture, CategoryScores, Event, EventState, UnreadableImageError
from appliance.safeguarding.moderation import Verdict
from appliance.safeguarding.severity import CATEGORIES, Category, Severity
from appliance.search.index import BrokenIndexError, Document, Indexer
from appliance.search.query import find
from appliance.store import academies, assessments, captures, devices, events, grants, people
from appliance.store.audit import check_chain
from appliance.store.connection import open_as, open_system, transaction
from appliance.store.migrations import migrate
from appliance.telling import tell_people
from appliance.worker import Tools, open_tools, run_once, run_worker
from appliance.workflow.assess import (
    LEASE,
    MOST_TRIES,
    RETRY_AFTER,
    Assessment,
    assess_event,
    claim_next_event,
    return_lapsed_events,
)
from appliance.workflow.ingest import Report, ingest_event
from appliance.workflow.moderate import moderate_event
from appliance.workflow.record import open_concern

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
WORRYING = "i am scared to go home tonight because dad keeps hitting me"
HARMLESS = "photosynthesis turns light water and carbon dioxide into sugar"
PUPIL = people.Pupil("p1", "northgate", "Northgate", "Z801200001001", "Ashworth", "Robin", None, "9", "9A", ())
KEY = bytes(range(32))


def now() -> datetime:
    return NOW


@dataclass
class Box:
    """A box in a folder: two academies, a DSL at each, one device and one pupil."""

    config: Config
    db: Database
    vault: captures.CaptureVault
    new_id: Callable[[], str]
    lines: "Queue[str]"
    said: list[str]

    def say(self, line: str) -> None:
        self.said.append(line)
        self.lines.put(line)

    def wait_for(self, part: str) -> str:
        """The next line that holds a part."""
        while True:
            line = self.lines.get(timeout=120)
            if part in line:
                return line

    def report(self, typed: str, image: bytes | None = None, academy: str = "northgate") -> str:
        """An event comes in; its id."""
        message_id = self.new_id()
        event = Event(
            message_id, f"device-{academy}", 1, "r.ashworth", NOW, "rule1", "scared", "Chat", "Chat", "", typed, ()
        )
        capture = None
        if image is not None:
            capture = Capture(hashlib.sha256(image).hexdigest(), "image/png", 800, 200, len(image))
        ingest_event(self.db, self.vault, Report(event, "epoch", capture, image or b""), NOW, self.new_id)
        row = self.db.conn.execute("SELECT id FROM event WHERE message_id = ?", [message_id]).fetchone()
        return str(row[0])

    def event(self, event_id: str) -> events.StoredEvent:
        event = events.get_event(self.db, event_id)
        assert event is not None
        return event

    def sealed(self, event_id: str) -> Path:
        capture = captures.get_capture(self.db, event_id)
        assert capture is not None
        return next(self.config.captures.rglob(f"{capture.sha256}.sealed"))

    def raise_level_5(self, academy: str = "northgate") -> str:
        """An event that the machine found to be level 5, with nobody told yet."""
        event_id = self.report(WORRYING, academy=academy)
        while (claimed := claim_next_event(self.db, "test", NOW)) is not None and claimed.id != event_id:
            raise AssertionError("another event was waiting")
        scores = CategoryScores(Category.ABUSE, Severity.IMMEDIATE, {Category.ABUSE: 0.99}, (), "test", 0.5)
        assess_event(self.db, event_id, Assessment(None, scores), NOW, self.new_id)
        return event_id

    def count(self, sql: str) -> int:
        return int(self.db.conn.execute(f"SELECT count(*) FROM {sql}").fetchone()[0])

    def search(self, words: str, academy: str = "northgate") -> set[str]:
        answer = find(self.config.index, [academy], words)
        assert answer.problem is None
        return {hit.id for hit in answer.hits}


def make_box(home: Path, smtp_port: int = 1) -> Box:
    config = Config(home, smtp_host="127.0.0.1", smtp_port=smtp_port, smtp_from="trustkeep@box.example")
    for folder in (config.data, config.captures, config.keys, config.run):
        folder.mkdir(parents=True)
    (config.keys / "capture.key").write_bytes(KEY)
    db = open_system(config.database)
    migrate(db)
    counter = itertools.count(1)
    with transaction(db):
        academies.insert_trust(db, academies.Trust("trust", "Valley Trust"))
        for academy, name in (("northgate", "Northgate"), ("southgate", "Southgate")):
            academies.insert_academy(db, people.Academy(academy, "trust", f"{name} Academy", name))
            people.insert_staff(db, people.Staff(f"dsl-{academy}", f"Dana {name}", f"{academy}@box.example"), None)
            grants.insert_grant(
                db, f"g-{academy}", f"dsl-{academy}", Grant(Role.DSL, academy_id=academy), NOW - timedelta(days=1)
            )
            devices.insert_device(db, f"device-{academy}", academy, "Library 1", "Library", "1", NOW)
    with transaction(db):
        people.insert_pupil(db, PUPIL)
        people.insert_pupil_account(db, "account", PUPIL, "r.ashworth")
    vault = captures.CaptureVault(config.captures, KEY)
    return Box(config, db, vault, lambda: f"id{next(counter):05}", Queue(), [])


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = make_box(tmp_path / "box")
    yield box
    assert check_chain(box.db) is None
    spoken = "\n".join(box.said).lower()
    for secret in ("ashworth", "robin", "scared", "hitting", "photosynthesis", "z8012", "r.ash"):
        assert secret not in spoken


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """The engines, loaded once; each test puts its own box's vault to them."""
    return open_tools(make_box(tmp_path_factory.mktemp("tools") / "box").config, 0)


def tools_of(tools: Tools, box: Box) -> Tools:
    return replace(tools, vault=box.vault, new_id=box.new_id)


def screen(text: str) -> bytes:
    """A screenshot with some text on it."""
    image = Image.new("RGB", (1000, 200), "white")
    ImageDraw.Draw(image).text((20, 60), text, fill="black", font=ImageFont.load_default(28))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def mail(box: Box) -> Iterator[Queue]:
    """A mail server the box is set to; what it was handed, as pairs of recipient and message."""
    received: Queue = Queue()

    class Handler:
        async def handle_DATA(self, server, session, envelope) -> str:
            message = message_from_bytes(envelope.content, policy=policy.default)
            received.put((envelope.rcpt_tos[0], message, envelope.content.decode()))
            return "250 OK"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box.config = replace(box.config, smtp_port=port)
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    yield received
    controller.stop()


@contextlib.contextmanager
def working(box: Box, number: int = 0) -> Iterator[None]:
    """A worker runs, in a thread of this process, until the block ends."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            run_worker(box.config, number, stop, box.say)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=120)
        assert not thread.is_alive()
        assert failures == []


# reading and scoring


def test_a_screenshot_is_read_and_scored_and_waits_for_a_moderator(box: Box, tools: Tools) -> None:
    event_id = box.report(WORRYING, screen(WORRYING))
    assert run_once(tools_of(tools, box), box.db, now, box.say)
    event = box.event(event_id)
    assert event.state is EventState.AWAITING_MODERATION
    reading = assessments.get_reading(box.db, event_id)
    assert reading is not None
    assert {"scared", "home", "tonight"} <= set(reading.text.lower().split())
    scores = assessments.get_scores(box.db, event_id)
    assert scores is not None
    assert CATEGORIES[scores.category].always_read
    assert captures.get_preview(box.db, event_id) == make_preview(screen(WORRYING))
    assert re.fullmatch(
        rf"event read: {len(reading.words)} words in \d+\.\d s; scored [a-z ]+, level \d; waits for a moderator",
        box.said[-1],
    )
    assert not run_once(tools_of(tools, box), box.db, now, box.say)


def test_what_is_only_on_the_screen_counts_too(box: Box, tools: Tools) -> None:
    event_id = box.report("ok", screen(WORRYING))
    run_once(tools_of(tools, box), box.db, now, box.say)
    assert box.event(event_id).state is EventState.AWAITING_MODERATION


def test_an_event_without_a_screenshot_is_scored_by_what_was_typed(box: Box, tools: Tools) -> None:
    event_id, harmless = box.report(WORRYING), box.report(HARMLESS)
    assert run_once(tools_of(tools, box), box.db, now, box.say)
    assert run_once(tools_of(tools, box), box.db, now, box.say)
    assert box.event(event_id).state is EventState.AWAITING_MODERATION
    assert box.event(event_id).state_reason is None
    assert box.event(harmless).state is EventState.LOGGED
    assert box.said[-1] == "event without a screenshot; scored nothing of concern; logged"


@pytest.mark.parametrize("typed", [WORRYING, HARMLESS])
def test_a_broken_picture_goes_to_a_person_with_what_was_typed_scored(box: Box, tools: Tools, typed: str) -> None:
    event_id = box.report(typed, b"this is no picture at all")
    run_once(tools_of(tools, box), box.db, now, box.say)
    event = box.event(event_id)
    assert event.state in (EventState.AWAITING_MODERATION, EventState.UNREADABLE)
    assert event.state_reason
    assert event.id in {one.id for one in events.select_queue(box.db)}
    scores = assessments.get_scores(box.db, event_id)
    assert scores is not None
    assert (scores.category is not Category.NONE) == (typed == WORRYING)
    assert captures.get_preview(box.db, event_id) is None


def test_a_sealed_file_that_is_lost_or_changed_goes_to_a_person(box: Box, tools: Tools) -> None:
    lost, changed = box.report("one", screen("one")), box.report("two", screen("two"))
    box.sealed(lost).unlink()
    path = box.sealed(changed)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    while run_once(tools_of(tools, box), box.db, now, box.say):
        pass
    for event_id in (lost, changed):
        assert box.event(event_id).state is EventState.UNREADABLE
        assert (box.event(event_id).state_reason or "").startswith("The screenshot can't be opened: ")


class _Tells:
    """A scorer that fails, and whose error quotes the pupil."""

    def score_event(self, typed: str, *_: object) -> CategoryScores:
        raise ValueError(f"could not score {typed!r}")


def test_after_three_failures_of_any_kind_a_person_gets_it_and_nothing_is_quoted(box: Box, tools: Tools) -> None:
    event_id = box.report(WORRYING)
    broken = replace(tools_of(tools, box), scorer=_Tells())
    for tries in range(1, MOST_TRIES + 1):
        # not at once: what failed for want of room on the disk must not use up its tries in seconds
        assert tries == 1 or not run_once(
            broken, box.db, lambda tries=tries: now() + (tries - 1) * RETRY_AFTER[0] * 0.9, box.say
        )
        assert run_once(broken, box.db, lambda tries=tries: now() + (tries - 1) * RETRY_AFTER[-1], box.say)
        assert box.event(event_id).attempts == tries
        assert box.event(event_id).state is (EventState.UNREADABLE if tries == MOST_TRIES else EventState.RECEIVED)
    assert box.event(event_id).state_reason == "The box could not assess this event (ValueError)."
    assert not run_once(broken, box.db, lambda: now() + timedelta(days=1), box.say)
    assert event_id in {one.id for one in events.select_queue(box.db)}
    assert len(box.said) == MOST_TRIES
    assert box.said[0].startswith("event not assessed: ValueError in test_worker.py, line ")


def test_one_events_failure_leaves_the_next_alone(box: Box, tools: Tools) -> None:
    box.report("one")
    run_once(replace(tools_of(tools, box), scorer=_Tells()), box.db, now, box.say)
    box.report("two")
    assert run_once(tools_of(tools, box), box.db, now, box.say)
    assert box.count("event WHERE state = 'received'") == 1
    assert run_once(tools_of(tools, box), box.db, lambda: now() + RETRY_AFTER[0], box.say)
    assert box.count("event WHERE state = 'received'") == 0


# a worker that is killed

_DIES = """
import os, signal, sys
sys.path.insert(0, ".")
from pathlib import Path
from datetime import datetime
from appliance.config import Config
from appliance.store.connection import open_system
from appliance.worker import open_tools, run_once
home, at = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
config = Config(home)
tools, db = open_tools(config, 7), open_system(config.database)
def watch(name, arguments):
    if name == "open" and str(arguments[0]).endswith(".sealed"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(watch)
run_once(tools, db, lambda: at, print)
"""


def die(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


def test_an_event_whose_worker_was_killed_is_assessed_once_by_another(box: Box, tools: Tools) -> None:
    event_id = box.report(WORRYING, screen(WORRYING))
    died = die(_DIES, box.config.home, NOW.isoformat())
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert box.event(event_id).state is EventState.ASSESSING
    assert not run_once(tools_of(tools, box), box.db, now, box.say)
    assert return_lapsed_events(box.db, NOW + LEASE) == 0
    later = NOW + LEASE + timedelta(seconds=1)
    assert return_lapsed_events(box.db, later) == 1
    assert run_once(tools_of(tools, box), box.db, lambda: later, box.say)
    assert not run_once(tools_of(tools, box), box.db, lambda: later, box.say)
    assert box.event(event_id).state is EventState.AWAITING_MODERATION
    assert box.event(event_id).attempts == 2
    assert box.count("score") == box.count("reading") == 1
    assert box.count("audit WHERE kind = 'event:assessed'") == 1


def test_an_event_that_kills_every_worker_goes_to_a_person(box: Box, tools: Tools) -> None:
    event_id = box.report(WORRYING, screen(WORRYING))
    at = NOW
    for _ in range(MOST_TRIES):
        assert die(_DIES, box.config.home, at.isoformat()).returncode == -signal.SIGKILL
        at += LEASE + timedelta(seconds=1)
        return_lapsed_events(box.db, at)
    assert box.event(event_id).state is EventState.UNREADABLE


# telling people


def test_level_5_is_told_at_once_and_the_message_holds_nothing_of_the_pupil(box: Box, mail: Queue) -> None:
    event_id = box.raise_level_5()
    tell_people(box.config, box.db, NOW, box.say)
    recipient, message, raw = mail.get(timeout=30)
    assert recipient == "northgate@box.example"
    assert f"{box.config.portal_url}/events/{event_id}" in message.get_content()
    assert "Level 5 at Northgate" in message["Subject"]
    words = ("scared", "tonight", "dad", "hitting", "Chat", "Library")
    for secret in (*words, PUPIL.forename, PUPIL.surname, str(PUPIL.upn), "r.ashworth", "abuse"):
        assert secret.lower() not in (raw + message.get_content() + message["Subject"]).lower()
    assert box.said == ["e-mail sent to Dana Northgate (level 5, Northgate)"]
    tell_people(box.config, box.db, NOW, box.say)
    assert mail.empty()


def test_when_the_mail_server_is_down_it_is_tried_again_until_it_goes_out(box: Box, mail: Queue) -> None:
    box.raise_level_5()
    down = replace(box.config, smtp_port=1)
    tell_people(down, box.db, NOW, box.say)
    assert box.said == ["e-mail to Dana Northgate failed (ConnectionRefusedError) (level 5, Northgate)"]
    tell_people(box.config, box.db, NOW + timedelta(seconds=29), box.say)
    assert mail.empty()
    tell_people(box.config, box.db, NOW + timedelta(seconds=30), box.say)
    assert mail.get(timeout=30)[0] == "northgate@box.example"


def test_one_bad_address_does_not_keep_the_message_from_others(box: Box, mail: Queue) -> None:
    with transaction(box.db):
        people.insert_staff(box.db, people.Staff("dep", "A Deputy", "no address at all"), None)
        grants.insert_grant(box.db, "g-dep", "dep", Grant(Role.DEPUTY_DSL, academy_id="northgate"), NOW)
    box.raise_level_5()
    tell_people(box.config, box.db, NOW, box.say)
    assert mail.get(timeout=30)[0] == "northgate@box.example"
    assert mail.empty()
    assert "e-mail to A Deputy failed (NotSentError) (level 5, Northgate)" in box.said


def test_a_person_whose_right_has_ended_is_not_told(box: Box, mail: Queue) -> None:
    box.raise_level_5()
    with transaction(box.db):
        box.db.conn.execute("UPDATE staff_grant SET ends_at = ?", [NOW.isoformat(timespec="microseconds")])
    tell_people(box.config, box.db, NOW, box.say)
    assert mail.empty()
    assert box.said == ["Dana Northgate is no longer told: the right to see it has ended (level 5, Northgate)"]


# indexing


def fill_index(box: Box) -> Indexer:
    indexer = start_indexing(box.config, box.db, box.say)
    while index_once(indexer, box.db, NOW, box.say):
        pass
    return indexer


def assess_all(box: Box, tools: Tools) -> None:
    while run_once(tools_of(tools, box), box.db, now, box.say):
        pass


def test_events_and_concerns_are_found_by_what_is_written_and_by_name(box: Box, tools: Tools) -> None:
    event_id = box.report(WORRYING, screen("lantern on the screen"))
    other = box.report("lantern", academy="southgate")
    assess_all(box, tools)
    actor = people.get_actor(box.db, "dsl-northgate", NOW)
    assert actor is not None
    with contextlib.closing(open_as(box.config.database, actor)) as db:
        moderate_event(db, actor, event_id, Verdict(Severity.SERIOUS, Category.ABUSE), NOW, box.new_id)
        concern = NewConcern("concern1", Category.ABUSE, Severity.SERIOUS, "Spoke in the quiet room")
        open_concern(db, actor, [event_id], ["p1"], concern, NOW, box.new_id)
    fill_index(box)
    assert box.search("lantern") == {event_id}
    assert box.search("lantern", "southgate") == {other}
    assert box.search("robin ashworth") == {event_id, "concern1"}
    assert box.search('"quiet room"') == {"concern1"}
    assert box.count("event WHERE indexed_at IS NULL OR indexed_at = ''") == 0


def test_a_broken_index_is_built_anew_with_nothing_missing(box: Box, tools: Tools) -> None:
    found = {box.report(f"lantern {number}") for number in range(3)}
    assess_all(box, tools)
    indexer = fill_index(box)
    for path in (box.config.index / "northgate").glob("*.seg"):
        path.write_bytes(bytes(100))
    assert find(box.config.index, ["northgate"], "lantern").problem is not None
    found.add(box.report("lantern again"))
    assess_all(box, tools)
    with pytest.raises(BrokenIndexError):
        index_once(indexer, box.db, NOW, box.say)
    while index_once(indexer, box.db, NOW, box.say):
        pass
    assert box.search("lantern") == found


def test_an_index_that_broke_while_the_box_was_off_is_built_anew_at_the_start(box: Box, tools: Tools) -> None:
    event_id = box.report("lantern")
    assess_all(box, tools)
    fill_index(box)
    for path in (box.config.index / "northgate").glob("*.toc"):
        path.write_bytes(bytes(path.stat().st_size))
    fill_index(box)
    assert box.search("lantern") == {event_id}
    assert any("it is built anew" in line for line in box.said)


def test_a_deleted_index_folder_comes_back_by_itself(box: Box, tools: Tools) -> None:
    event_id = box.report("lantern")
    assess_all(box, tools)
    indexer = fill_index(box)
    subprocess.run(["rm", "-r", str(box.config.index)], check=True)
    while index_once(indexer, box.db, NOW, box.say):
        pass
    assert box.search("lantern") == {event_id}


_INDEXES_AND_DIES = """
import os, signal, sys
sys.path.insert(0, ".")
from pathlib import Path
from datetime import UTC, datetime
from appliance.config import Config
from appliance.store.connection import open_system
from appliance.indexing import index_once, start_indexing
config, last = Config(Path(sys.argv[1])), int(sys.argv[2])
seen = 0
def watch(name, arguments):
    global seen
    if name in {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"} and str(config.home) in str(arguments[0]):
        seen += 1
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)
db = open_system(config.database)
sys.addaudithook(watch)
indexer = start_indexing(config, db, print)
while index_once(indexer, db, datetime.now(UTC), print):
    pass
print(seen)
"""


def catch_up(home: Path) -> Box:
    """What the next holder of the index lock does, on a box whose indexer was killed."""
    config = Config(home)
    box = Box(config, open_system(config.database), captures.CaptureVault(config.captures, KEY), str, Queue(), [])
    fill_index(box)
    return box


def test_an_indexer_killed_anywhere_is_caught_up_with_nothing_missing(tmp_path: Path) -> None:
    template = make_box(tmp_path / "template")
    scores = CategoryScores(Category.NONE, Severity.NOISE, {}, (), "test", 0.5)
    expected: dict[str, set[str]] = {"northgate": set(), "southgate": set()}
    for number in range(70):
        academy = ("northgate", "southgate")[number % 2]
        expected[academy].add(template.report("lantern", academy=academy))
        claimed = claim_next_event(template.db, "test", NOW)
        assert claimed is not None
        assess_event(template.db, claimed.id, Assessment(None, scores), NOW, template.new_id)
    template.db.close()
    shutil.copytree(tmp_path / "template", tmp_path / "whole")
    whole = die(_INDEXES_AND_DIES, tmp_path / "whole", 0)
    assert whole.returncode == 0, whole.stderr
    steps = int(whole.stdout.split()[-1])
    assert steps > 50
    for share in (0.05, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97):
        home = tmp_path / str(share)
        shutil.copytree(tmp_path / "template", home)
        died = die(_INDEXES_AND_DIES, home, round(steps * share))
        assert died.returncode == -signal.SIGKILL, (share, died.stderr)
        box = catch_up(home)
        for academy, ids in expected.items():
            answer = find(box.config.index, [academy], "lantern", limit=100)
            assert answer.problem is None, share
            assert {hit.id for hit in answer.hits} == ids, share
        assert box.count("event WHERE coalesce(indexed_at, '') = ''") == 0, share


def test_reindexing_without_a_worker_tells_how_far_it_is(box: Box, tools: Tools) -> None:
    found = {box.report(f"lantern {number}") for number in range(60)}
    assess_all(box, tools)
    fill_index(box)
    # something the store knows nothing of any more
    Indexer(box.config.index).update(
        [
            Document("event", "gone", "northgate", NOW, "abuse", 2, "lantern"),
            Document("event", "x", "old", NOW, "", 1, ""),
        ]
    )
    reindex(box.config, box.say)
    assert box.said[-2:] == ["the search index is built anew", "taken in: 60 of 60 events and all concerns"]
    answer = find(box.config.index, ["northgate"], "lantern", limit=100)
    assert {hit.id for hit in answer.hits} == found
    assert answer.problem is None


# the whole worker


def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds."""
    pause = threading.Event()
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.05)


def test_a_running_worker_takes_an_event_from_the_queue_to_the_index(box: Box, mail: Queue) -> None:
    with working(box):
        event_id = box.report(WORRYING, screen(WORRYING))
        box.wait_for("waits for a moderator")
        until(lambda: box.search("scared tonight") == {event_id})
        assert (box.config.run / "worker-0.alive").exists()
    assert box.count("event WHERE state = 'assessing'") == 0


def test_an_event_left_by_a_killed_worker_is_taken_back_when_the_next_one_starts(box: Box) -> None:
    event_id = box.report(WORRYING)
    claim_next_event(box.db, "worker-9", NOW)
    with working(box):
        assert box.wait_for("taken back").endswith("stopped: 1")
        box.wait_for("waits for a moderator")
    assert box.event(event_id).attempts == 2


def test_a_message_goes_out_and_the_index_fills_while_a_reading_hangs(box: Box, mail: Queue) -> None:
    stuck = box.report("stuck", screen("stuck"))
    path = box.sealed(stuck)
    path.unlink()
    # whoever opens it waits until somebody writes into it
    os.mkfifo(path)
    with working(box):
        until(lambda: box.event(stuck).state is EventState.ASSESSING)
        event_id = box.raise_level_5()
        assert mail.get(timeout=120)[0] == "northgate@box.example"
        until(lambda: box.search("scared") == {event_id})
        assert box.event(stuck).state is EventState.ASSESSING
        path.write_bytes(b"nothing that was sealed here")
        box.wait_for("can't be read")
    assert box.event(stuck).state is EventState.UNREADABLE


def test_of_two_workers_one_tells_and_the_other_takes_over_when_it_ends(box: Box, mail: Queue) -> None:
    with contextlib.ExitStack() as first:
        first.enter_context(working(box, 0))
        box.wait_for("worker 0 is ready")
        with working(box, 1):
            box.wait_for("worker 1 is ready")
            one = box.raise_level_5()
            assert mail.get(timeout=120)[0] == "northgate@box.example"
            until(lambda: box.search("scared") == {one})
            first.close()
            two = box.raise_level_5("southgate")
            assert mail.get(timeout=120)[0] == "southgate@box.example"
            until(lambda: box.search("scared", "southgate") == {two})
    assert mail.empty()
    assert len([line for line in box.said if line.startswith("e-mail sent")]) == 2


def test_reindexing_beside_a_running_worker_leaves_the_work_to_it(box: Box) -> None:
    with working(box):
        event_id = box.report(WORRYING)
        box.wait_for("waits for a moderator")
        until(lambda: box.search("scared") == {event_id})
        reindex(box.config, box.say)
        box.wait_for("A worker is running")
        box.wait_for("the search index is built anew")
        until(lambda: find(box.config.index, ["northgate"], "scared").problem is None)
        assert box.search("scared") == {event_id}


def test_a_worker_with_a_wrong_key_says_so_and_ends(box: Box) -> None:
    (box.config.keys / "capture.key").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"keys/capture\.key must hold 32 bytes, not 5"):
        run_worker(box.config, 0, threading.Event(), box.say)
    assert "duties" not in {thread.name for thread in threading.enumerate()}


# previews


def test_a_preview_is_small_grey_and_the_same_for_different_words() -> None:
    previews = []
    for words in ("I am scared to go home", "We won the match, yay!"):
        image = cv2.imdecode(np.frombuffer(make_preview(screen(words)), np.uint8), cv2.IMREAD_UNCHANGED)
        assert image.ndim == 2
        assert image.shape[1] == WIDTH
        previews.append(image.astype(int))
    assert np.abs(previews[0] - previews[1]).max() <= 4


@pytest.mark.parametrize("word", ["scared", "HOME"])
def test_a_headline_can_be_read_on_the_screen_and_not_on_its_preview(tools: Tools, word: str) -> None:
    image = Image.new("L", (640, 200), "white")
    ImageDraw.Draw(image).text((40, 40), word, fill="black", font=ImageFont.load_default(90))
    out = io.BytesIO()
    image.save(out, "PNG")
    assert word.lower() in tools.readers.read(out.getvalue()).text.lower()
    preview = cv2.imdecode(np.frombuffer(make_preview(out.getvalue()), np.uint8), cv2.IMREAD_GRAYSCALE)
    stretched = cv2.normalize(preview, None, 0, 255, cv2.NORM_MINMAX)
    for times in (4, 10, 20):
        large = cv2.resize(stretched, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
        # a lone letter may be seen in a blot, as shapes are in clouds
        text = tools.readers.read(cv2.imencode(".png", large)[1].tobytes()).text
        assert re.search(r"\w\w", text) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (2000, 3), (20, 20), (2160, 3840)])
def test_a_picture_of_any_shape_has_a_preview(shape: tuple[int, int]) -> None:
    encoded = cv2.imencode(".png", np.full(shape, 200, np.uint8))[1].tobytes()
    preview = cv2.imdecode(np.frombuffer(make_preview(encoded), np.uint8), cv2.IMREAD_UNCHANGED)
    assert preview.shape[1] == WIDTH
    assert set(np.unique(preview)) == {200}


@pytest.mark.parametrize("image", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_has_no_preview(image: bytes) -> None:
    with pytest.raises(UnreadableImageError):
        make_preview(image)
