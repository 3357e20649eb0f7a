"""The worker: claims events and has them read, scored and put where they belong; tells people; fills the search index.

Several run side by side, one event each. Telling people, indexing and importing is for one of them at a time, whoever
holds the index lock, on threads of their own: neither a slow reading nor a large index ever delays a message.
"""

import contextlib
import fcntl
import os
import secrets
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlite_utils import Database

from appliance.config import Config
from appliance.imports import run_waiting, watch_folder
from appliance.notify.email import EscalationNotice, MailServer, send_escalation_email
from appliance.ocr import Readers
from appliance.ocr.image import decode
from appliance.ocr.preview import make_preview
from appliance.safeguarding.context import weigh_context
from appliance.safeguarding.event import EventState, Reading, UnreadableImageError
from appliance.safeguarding.image import ImageFinding, with_findings
from appliance.safeguarding.severity import Category
from appliance.scoring.detector import ImageDetector, load_detectors
from appliance.scoring.known_images import KnownImages
from appliance.scoring.scorer import Scorer
from appliance.search.index import BrokenIndexError, Document, Indexer
from appliance.store import academies, concerns, events, people
from appliance.store.alerts import StoredEscalation
from appliance.store.captures import CaptureDamagedError, CaptureVault, get_capture, read_key
from appliance.store.connection import open_system, transaction
from appliance.store.import_files import forget_old
from appliance.store.migrations import require_current
from appliance.telling import tell_noticed
from appliance.workflow.assess import (
    Assessment,
    assess_event,
    claim_next_event,
    gather_surroundings,
    give_back_event,
    return_events_of,
    return_lapsed_events,
)
from appliance.workflow.escalate import send_escalations
from appliance.workflow.seal import seal_capture

IDLE_S = 0.3
RETURN_LAPSED_EVERY = timedelta(seconds=15)
DUTIES_EVERY_S = 1.0
AFTER_FAILURE_S = 5.0
BATCH = 50
REBUILD_BATCH = 500
"""A commit costs some 20 ms however little it holds, and a batch makes one for every academy in it."""

Say = Callable[[str], None]
"""Takes one plain line for each thing that was done. It never holds anything of a pupil."""

Clock = Callable[[], datetime]

_STATE_WORDS = {
    EventState.LOGGED: "logged",
    EventState.AWAITING_MODERATION: "waits for a moderator",
    EventState.UNREADABLE: "waits for a person",
    EventState.RECEIVED: "will be tried again",
}


@dataclass(frozen=True, slots=True)
class Tools:
    """What one worker works with, kept warm. name: under which it claims events. zone: the schools' own time."""

    name: str
    vault: CaptureVault
    readers: Readers
    scorer: Scorer
    known_images: KnownImages
    detectors: tuple[ImageDetector, ...]
    zone: ZoneInfo
    new_id: Callable[[], str]


def open_tools(config: Config, number: int) -> Tools:
    """Load the engines and the key of the captures.

    Raises ValueError when the key is not one; MissingLanguageError, ModelFileError, DetectorError or ImageListError,
    whose message is one sentence for the person who runs the box.
    """
    return Tools(
        name=f"worker-{number}",
        vault=CaptureVault(config.captures, read_key(config.keys / "capture.key")),
        readers=Readers(config.ocr_languages),
        scorer=Scorer(),
        known_images=KnownImages(config.known_images),
        detectors=tuple(load_detectors(config.detectors)),
        zone=ZoneInfo(config.time_zone),
        new_id=lambda: secrets.token_urlsafe(15),
    )


def run_once(tools: Tools, db: Database, now: Clock, say: Say) -> bool:
    """Take one event through reading, scoring and assessment. False when none waits.

    A failure of any kind is this event's alone: it goes back, and after the third to a person.
    """
    event = claim_next_event(db, tools.name, now())
    if event is None:
        return False
    try:
        assessment = _assess(tools, db, event, now)
        state = assess_event(db, event.id, assessment, now(), tools.new_id)
    except Exception as error:
        # what an exception says may quote what the pupil wrote, so only its kind and place are kept
        problem = f"The box could not assess this event ({type(error).__name__})."
        state = give_back_event(db, event.id, problem, now())
        say(f"event not assessed: {_kind_and_place(error)}; {_STATE_WORDS.get(state, state)}")
        return True
    say(_assessed_line(assessment, state))
    return True


def _assess(tools: Tools, db: Database, event: events.StoredEvent, now: Clock) -> Assessment:
    reading, preview, problem = None, None, None
    findings: list[ImageFinding] = []
    capture = get_capture(db, event.id)
    if capture is not None:
        try:
            image = tools.vault.open(capture.sha256)
            findings = _look_at(tools, db, capture.sha256, image, now)
            reading = tools.readers.read(image, academies.get_languages(db, event.academy_id))
            preview = make_preview(image)
        except UnreadableImageError as error:
            problem = str(error)
        except CaptureDamagedError as error:
            problem = f"The screenshot can't be opened: {error}."
    scores = tools.scorer.score_event(event.typed, event.context, reading.text if reading else "")
    scores = weigh_context(scores, gather_surroundings(db, event, tools.zone))
    return Assessment(reading, with_findings(scores, findings), preview, problem)


def _look_at(tools: Tools, db: Database, sha256: str, image: bytes, now: Clock) -> list[ImageFinding]:
    """What is in the picture. One on a list is sealed here and now, before anything else is done with it."""
    if not tools.detectors and not len(tools.known_images):
        return []
    pixels = decode(image)
    known = tools.known_images.find(pixels)
    if known:
        seal_capture(db, sha256, known[0].said, now())
        return known
    return [finding for detector in tools.detectors for finding in detector.find(pixels)]


def _assessed_line(assessment: Assessment, state: EventState) -> str:
    scores = assessment.scores
    seen = _reading_words(assessment.reading) if assessment.problem is None else "event whose screenshot can't be read"
    what = "nothing of concern"
    if scores.category is not Category.NONE:
        what = f"{scores.category.replace('_', ' ')}, level {int(scores.level)}"
    return f"{seen}; scored {what}; {_STATE_WORDS.get(state, state.replace('_', ' '))}"


def _reading_words(reading: Reading | None) -> str:
    if reading is None:
        return "event without a screenshot"
    return f"event read: {len(reading.words)} words in {reading.seconds:.1f} s"


def run_worker(config: Config, number: int, stop: threading.Event, say: Say) -> None:
    """Work until ``stop`` is set. run/worker-<number>.alive is touched on every round, so that its age shows life."""
    config.run.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(open_system(config.database)) as db:
        require_current(db)
        ended = threading.Event()

        def over() -> bool:
            return stop.is_set() or ended.is_set()

        duties = threading.Thread(target=_hold_duties, args=(config, stop, over, say), name="duties")
        # before the engines are loaded, which takes a while: somebody may be waiting to be told
        duties.start()
        try:
            tools = open_tools(config, number)
            if returned := return_events_of(db, tools.name, _now()):
                say(f"events taken back from this worker's former life: {returned}")
            say(f"worker {number} is ready")
            for problem in tools.readers.check(academies.select_chosen_languages(db)):
                say(problem)
            if tools.detectors or len(tools.known_images):
                names = ", ".join(detector.name for detector in tools.detectors) or "none"
                say(f"image detectors: {names}; known images on lists: {len(tools.known_images)}")
            _work(config.run / f"worker-{number}.alive", tools, db, duties, stop, say)
        finally:
            ended.set()
            duties.join()


def _work(alive: Path, tools: Tools, db: Database, duties: threading.Thread, stop: threading.Event, say: Say) -> None:
    return_at = _now()
    while not stop.is_set():
        try:
            if _now() >= return_at:
                return_at = _now() + RETURN_LAPSED_EVERY
                if returned := return_lapsed_events(db, _now()):
                    say(f"events taken back from a worker that stopped: {returned}")
            worked = run_once(tools, db, _now, say)
        except Exception as error:
            # a full disk, say: nothing is lost while it lasts, and the supervisor sees that the heartbeat is old
            say(f"the worker will try again: {_kind_and_place(error)}")
            stop.wait(AFTER_FAILURE_S)
            continue
        if duties.is_alive():
            alive.touch()
        if not worked:
            stop.wait(IDLE_S)


def _hold_duties(config: Config, stop: threading.Event, over: Callable[[], bool], say: Say) -> None:
    """Wait for the index lock; once it is held, tell people and index until the end, on two threads."""

    def tell(db: Database) -> bool:
        tell_people(config, db, _now(), say)
        tell_noticed(config, db, _now(), say)
        return False

    indexers: list[Indexer] = []

    def index(db: Database) -> bool:
        if not indexers:
            indexers.append(start_indexing(config, db, say))
        return index_once(indexers[0], db, _now(), say) > 0

    def import_files(db: Database) -> bool:
        watch_folder(config, db, _now(), say)
        if run_waiting(config, db, _now(), say):
            return True
        forget_old(config.imports, _now())
        return False

    while not over():
        with _index_lock(config) as held:
            if held:
                importing = threading.Thread(
                    target=_keep_doing, args=("importing", import_files, config, stop, over, say), name="importing"
                )
                importing.start()
                indexing = threading.Thread(
                    target=_keep_doing, args=("indexing", index, config, stop, over, say), name="indexing"
                )
                indexing.start()
                _keep_doing("telling people", tell, config, stop, over, say)
                indexing.join()
                importing.join()
        stop.wait(DUTIES_EVERY_S)


def _keep_doing(
    what: str,
    do: Callable[[Database], bool],
    config: Config,
    stop: threading.Event,
    over: Callable[[], bool],
    say: Say,
) -> None:
    """Do one duty again and again on its own connection, at once while it returns True. Whatever fails is repeated."""
    told = ""
    while not over():
        try:
            with contextlib.closing(open_system(config.database)) as db:
                while not over():
                    if not do(db):
                        stop.wait(DUTIES_EVERY_S)
                    told = ""
        except Exception as error:
            line = f"{what} will be tried again: {_kind_and_place(error)}"
            if line != told:
                say(line)
            told = line
            stop.wait(DUTIES_EVERY_S)


def tell_people(config: Config, db: Database, now: datetime, say: Say) -> None:
    """Send the messages that are due. Call it under the index lock: two at once would tell a person twice."""
    server = MailServer(config.smtp_host, config.smtp_port, config.smtp_from, config.host_name)
    time_zone = ZoneInfo(config.time_zone)
    problems: dict[str, str] = {}

    def send(escalation: StoredEscalation) -> None:
        notice = EscalationNotice(
            escalation.id,
            escalation.event_id,
            escalation.staff_name,
            escalation.staff_email,
            escalation.academy_name,
            escalation.level,
            escalation.due_at,
        )
        link = f"{config.portal_url}/events/{escalation.event_id}"
        try:
            send_escalation_email(server, notice, link, time_zone, now)
        except OSError as error:
            problems[escalation.id] = f"e-mail to {escalation.staff_name} failed ({type(error).__name__})"
            raise

    sent, failed = send_escalations(db, send, now)
    for one in sent:
        say(f"e-mail sent to {one.staff_name} (level {int(one.level)}, {one.academy_name})")
    for one in failed:
        problem = problems.get(one.id, f"{one.staff_name} is no longer told: the right to see it has ended")
        say(f"{problem} (level {int(one.level)}, {one.academy_name})")


def start_indexing(config: Config, db: Database, say: Say) -> Indexer:
    """An indexer for whoever has just taken the index lock: what a stopped one left half done is taken in again."""
    indexer = Indexer(config.index)
    with transaction(db):
        events.set_all_events_unindexed(db, only_unfinished=True)
        concerns.set_all_concerns_unindexed(db, only_unfinished=True)
    while True:
        try:
            indexer.check([academy.id for academy in people.select_academies(db)])
        except BrokenIndexError as broken:
            _begin_again(indexer, db, broken, say)
        else:
            return indexer


def index_once(indexer: Indexer, db: Database, now: datetime, say: Say) -> int:
    """Take one batch into the index; returns how many. Call it under the index lock.

    A broken index is thrown away, everything is marked to be taken in again, and BrokenIndexError is raised so that
    the caller doesn't go on at once. Raises OSError when the disk does not take it.
    """
    if not indexer.is_current():
        _mark_all_unindexed(db)
        indexer.wipe()
        say("the search index is built anew")
    limit = REBUILD_BATCH if indexer.is_rebuilding() else BATCH
    with transaction(db):
        found_events = events.claim_unindexed_events(db, limit)
        found_concerns = concerns.claim_unindexed_concerns(db, limit)
    documents = [_document("event", one, one.occurred_at) for one in found_events]
    documents += [_document("concern", one, one.opened_at) for one in found_concerns]
    if not documents:
        indexer.finish_rebuild()
        return 0
    try:
        indexer.update(documents)
    except BrokenIndexError as broken:
        _begin_again(indexer, db, broken, say)
        raise
    except Exception:
        with transaction(db):
            events.set_all_events_unindexed(db, only_unfinished=True)
            concerns.set_all_concerns_unindexed(db, only_unfinished=True)
        raise
    with transaction(db):
        events.set_events_indexed(db, [one.id for one in found_events], now)
        concerns.set_concerns_indexed(db, [one.id for one in found_concerns], now)
    return len(documents)


def _document(kind: str, one: events.IndexableEvent | concerns.IndexableConcern, at: datetime) -> Document:
    return Document(kind, one.id, one.academy_id, at, one.category, int(one.level), one.text)


def _begin_again(indexer: Indexer, db: Database, broken: BrokenIndexError, say: Say) -> None:
    _mark_all_unindexed(db)
    indexer.throw_away(broken.academy_id)
    say(f"{broken}; it is built anew")


def _mark_all_unindexed(db: Database) -> None:
    with transaction(db):
        events.set_all_events_unindexed(db, only_unfinished=False)
        concerns.set_all_concerns_unindexed(db, only_unfinished=False)


def reindex(config: Config, say: Say) -> None:
    """Build the search index anew. While a worker runs, it is the worker that does it."""
    config.run.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(open_system(config.database)) as db, _index_lock(config) as held:
        require_current(db)
        indexer = Indexer(config.index)
        indexer.ask_for_rebuild()
        if not held:
            say("A worker is running; it builds the search index anew from now on. Search keeps working meanwhile.")
            return
        begun = datetime(1, 1, 2, tzinfo=UTC)
        counts = events.count_by_state(db, begun)
        total = sum(counts.values()) - counts.get(EventState.RECEIVED, 0) - counts.get(EventState.ASSESSING, 0)
        done = 0
        while batch := index_once(indexer, db, _now(), say):
            done += batch
            say(f"taken in: {done} of {total} events and all concerns")


@contextlib.contextmanager
def _index_lock(config: Config) -> Iterator[bool]:
    """Whether this program now holds the right to tell people and to index. The lock goes with the program."""
    handle = os.open(config.run / "index.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _kind_and_place(error: BaseException) -> str:
    """What kind of error happened where, without its message, which may quote a pupil."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _now() -> datetime:
    return datetime.now(UTC)
