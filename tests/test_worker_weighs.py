"""The worker weighs what stands around an event, reads in the academy's languages, and seals a known picture."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pytest

from appliance.ocr import MissingLanguageError, Readers
from appliance.safeguarding.context import CONTEXT
from appliance.safeguarding.event import EventState
from appliance.safeguarding.image import IMAGE
from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.detector import ImageDetector
from appliance.scoring.known_images import KnownImages, hash_picture
from appliance.store import academies, assessments, captures, events
from appliance.store.audit import check_chain
from appliance.worker import Tools, open_tools, run_once
from appliance.workflow.assess import gather_surroundings
from appliance.workflow.seal import seal_capture
from tests.test_worker import HARMLESS, NOW, WORRYING, Box, make_box, now, screen

DETECTOR = Path(__file__).parent / "scoring" / "detector"
LONDON = ZoneInfo("Europe/London")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = make_box(tmp_path / "box")
    yield box
    assert check_chain(box.db) is None


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return open_tools(make_box(tmp_path_factory.mktemp("tools") / "box").config, 0)


@pytest.fixture
def tools(shared: Tools, box: Box) -> Tools:
    return replace(shared, vault=box.vault, new_id=box.new_id)


def picture(seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (7, 9, 3)).astype(np.uint8), (420, 300), interpolation=cv2.INTER_CUBIC)


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def assess(tools: Tools, box: Box, event_id: str) -> events.StoredEvent:
    assert run_once(tools, box.db, now, box.say)
    event = box.event(event_id)
    assert event.state not in (EventState.RECEIVED, EventState.ASSESSING)
    return event


def reasons(box: Box, event_id: str, kind: str) -> list[str]:
    scores = assessments.get_scores(box.db, event_id)
    assert scores is not None
    return [reason.text for reason in scores.reasons if reason.kind == kind]


def known(tmp_path: Path, *pictures: np.ndarray) -> KnownImages:
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "trust.txt").write_text("\n".join(hash_picture(one).text for one in pictures))
    return KnownImages(folder)


def test_markers_and_the_hour_come_with_the_event(tools: Tools, box: Box) -> None:
    with box.db.conn:
        box.db.conn.execute("UPDATE pupil SET flags = ?, year_group = '4'", [json.dumps(["cp_plan"])])
    event_id = box.report(WORRYING)
    around = gather_surroundings(box.db, box.event(event_id), ZoneInfo("Asia/Tokyo"))
    assert around.flags == ("cp_plan",) and around.age == 8 and around.occurred_at.hour == 18
    assess(tools, box, event_id)
    said = reasons(box, event_id, CONTEXT)
    assert any("child protection plan" in one for one in said) and any("is 8" in one for one in said)


def test_the_third_low_event_in_two_weeks_is_raised_and_a_false_positive_does_not_count(tools: Tools, box: Box) -> None:
    ids = [box.report(HARMLESS) for _ in range(3)]
    for event_id, state in zip(ids, ("confirmed", "awaiting_moderation", "false_positive"), strict=True):
        box.db.conn.execute(
            "UPDATE event SET state = ?, category = 'self_harm', level = 2, occurred_at = ? WHERE id = ?",
            [state, (NOW - timedelta(days=3)).isoformat(timespec="microseconds"), event_id],
        )
    event_id = box.report(WORRYING)
    around = gather_surroundings(box.db, box.event(event_id), LONDON)
    assert [one.category for one in around.earlier] == [Category.SELF_HARM] * 2


def test_an_event_of_nobody_known_has_no_past(box: Box) -> None:
    event_id = box.report(WORRYING)
    box.db.conn.execute("UPDATE event SET pupil_id = NULL WHERE id = ?", [event_id])
    around = gather_surroundings(box.db, box.event(event_id), LONDON)
    assert around.earlier == () and around.age is None and around.flags == ()


def test_every_queued_event_has_reasons_model_version_and_threshold(tools: Tools, box: Box) -> None:
    event = assess(tools, box, box.report(WORRYING))
    scores = assessments.get_scores(box.db, event.id)
    assert event.state is EventState.AWAITING_MODERATION and scores is not None
    assert scores.reasons and scores.model.startswith("trustkeep-text ") and 0 < scores.threshold < 1


def test_a_picture_on_a_list_is_sealed_told_at_once_and_keeps_no_preview(
    tools: Tools, box: Box, tmp_path: Path
) -> None:
    event_id = box.report(HARMLESS, png(picture()))
    event = assess(replace(tools, known_images=known(tmp_path, picture())), box, event_id)
    assert (event.state, event.level) == (EventState.AWAITING_MODERATION, Severity.IMMEDIATE)
    capture = captures.get_capture(box.db, event_id)
    assert capture is not None and capture.sealed is not None and "“trust”" in capture.sealed
    assert captures.get_preview(box.db, event_id) is None
    assert box.count(f"escalation WHERE event_id = '{event_id}' AND level = 5") == 1
    assert box.count(f"audit WHERE kind = 'capture:sealed' AND subject = 'event:{event_id}'") == 1
    assert "list of known images" in reasons(box, event_id, IMAGE)[0]


def test_the_same_bytes_at_another_event_are_sealed_with_it(tools: Tools, box: Box, tmp_path: Path) -> None:
    first = box.report(HARMLESS, png(picture()))
    assert assess(tools, box, first).state is not EventState.UNREADABLE
    second = box.report(HARMLESS, png(picture()))
    assess(replace(tools, known_images=known(tmp_path, picture())), box, second)
    for event_id in (first, second):
        capture = captures.get_capture(box.db, event_id)
        assert capture is not None and capture.sealed is not None


def test_sealing_has_no_way_back(box: Box) -> None:
    event_id = box.report(HARMLESS, png(picture()))
    capture = captures.get_capture(box.db, event_id)
    assert capture is not None
    assert seal_capture(box.db, capture.sha256, "on a list", NOW) == 1
    assert seal_capture(box.db, capture.sha256, "again", NOW) == 0
    for change in ("sealed_at = NULL", "sealed_reason = NULL", "preview = x'00'"):
        with pytest.raises(Exception, match="stays sealed"):
            box.db.conn.execute(f"UPDATE capture SET {change} WHERE event_id = ?", [event_id])
    captures.set_preview(box.db, event_id, b"x")
    assert captures.get_preview(box.db, event_id) is None


def test_what_a_detector_sees_reaches_a_person_with_its_name(tools: Tools, box: Box) -> None:
    event_id = box.report(HARMLESS, png(np.full((300, 400, 3), (0, 0, 255), np.uint8)))
    event = assess(replace(tools, detectors=(ImageDetector(DETECTOR),)), box, event_id)
    assert (event.category, event.level) == (Category.VIOLENCE, Severity.SERIOUS)
    assert event.state is EventState.AWAITING_MODERATION
    scores = assessments.get_scores(box.db, event_id)
    assert scores is not None and scores.model.endswith("test-colours 1") and scores.threshold == 0.8
    assert "Much red" in reasons(box, event_id, IMAGE)[0]


def test_a_worker_loads_the_detectors_and_lists_of_its_box(box: Box) -> None:
    shutil.copytree(DETECTOR, box.config.detectors / "colours")
    box.config.known_images.mkdir()
    (box.config.known_images / "list.txt").write_text(hash_picture(picture()).text)
    tools = open_tools(box.config, 0)
    assert [one.name for one in tools.detectors] == ["test-colours 1"] and len(tools.known_images) == 1


def test_a_language_that_an_academy_chose_and_the_box_lacks_is_named_and_english_is_still_read(
    tools: Tools, box: Box
) -> None:
    academies.set_languages(box.db, "northgate", ("xyz",))
    (said,) = tools.readers.check(academies.select_chosen_languages(box.db))
    assert "Northgate Academy" in said and "tesseract-ocr-xyz" in said
    event_id = box.report(HARMLESS, screen("the bus was late again"))
    assess(tools, box, event_id)
    reading = assessments.get_reading(box.db, event_id)
    assert reading is not None and "bus was late" in reading.text


def test_a_box_without_english_or_welsh_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(MissingLanguageError, match="tesseract-ocr-eng"):
        Readers(tessdata=tmp_path)
