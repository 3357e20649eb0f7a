"""The worker: claims events and has them read, scored and put where they belong; tells people; fills the search index.

Several run side by side, one event each. Telling people, indexing and importing is for one of them at a time, whoever
holds the index lock, on threads of their own: neither a slow reading nor a large index ever delays a message.
"""

import contextlib
import secrets
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlite_utils import Database

from appliance.config import Config
from appliance.imports import run_waiting, watch_folder
from appliance.indexing import index_lock, index_once, start_indexing
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
from appliance.search.index import Indexer
from appliance.store import academies, events
from appliance.store.captures import CaptureDamagedError, CaptureVault, get_capture, read_key
from appliance.store.connection import open_system
from appliance.store.import_files import forget_old
from appliance.store.migrations import require_current
from appliance.telling import tell_noticed, tell_people
from appliance.workflow.assess import (
    Assessment,
    assess_event,
    claim_next_event,
    gather_surroundings,
    give_back_event,
    return_events_of,
    return_lapsed_events,
)
from appliance.workflow.seal import seal_capture

IDLE_S = 0.3
RETURN_LAPSED_EVERY = timedelta(seconds=15)
DUTIES_EVERY_S = 1.0
AFTER_FAILURE_S = 5.0
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
    """Wait for the index lock; once it is held, tell people, index and import until the end, on a thread each."""

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
        with index_lock(config) as held:
            if held:
                beside = [
                    threading.Thread(target=_keep_doing, args=(what, do, config, stop, over, say), name=what)
                    for what, do in (("importing", import_files), ("indexing", index))
                ]
                for thread in beside:
                    thread.start()
                _keep_doing("telling people", tell, config, stop, over, say)
                for thread in beside:
                    thread.join()
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


def _kind_and_place(error: BaseException) -> str:
    """What kind of error happened where, without its message, which may quote a pupil."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _now() -> datetime:
    return datetime.now(UTC)
