"""A detector in a folder is used as its card says, or refused in one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.detector import CARD, DetectorError, ImageDetector, load_detectors

SHIPPED = Path(__file__).parents[2] / "appliance"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(Path(__file__).parent / "detector", tmp_path / "colours"))


def change_card(folder: Path, **fields: object) -> None:
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, **fields}))


def screen(*colours: tuple[int, int, int]) -> np.ndarray:
    """Stripes of equal width, blue green red."""
    return np.concatenate([np.full((200, 100, 3), colour, np.uint8) for colour in colours], axis=1)


RED, GREEN, WHITE, BLUE = (0, 0, 255), (0, 255, 0), (255, 255, 255), (255, 0, 0)


def test_a_class_over_its_threshold_is_a_finding_that_names_model_and_threshold(folder: Path) -> None:
    (finding,) = ImageDetector(folder).find(screen(RED, RED))
    assert (finding.category, finding.level) == (Category.VIOLENCE, Severity.SERIOUS)
    assert finding.score == pytest.approx(1.0) and finding.threshold == 0.8
    assert finding.model == "test-colours 1"
    assert "Much red" in finding.said and "test-colours 1" in finding.said and "0.80" in finding.said


def test_a_class_under_its_threshold_and_one_without_meaning_are_no_finding(folder: Path) -> None:
    detector = ImageDetector(folder)
    assert detector.find(screen(BLUE, BLUE)) == []
    assert detector.find(np.zeros((50, 50, 3), np.uint8)) == []


def test_a_small_picture_on_the_screen_is_seen_in_a_tile(folder: Path) -> None:
    picture = screen(BLUE, BLUE)
    picture[:100, :100] = GREEN
    assert [one.category for one in ImageDetector(folder).find(picture)] == [Category.DRUGS]
    change_card(folder, input={"size": [32, 32], "tiles": 0})
    assert ImageDetector(folder).find(picture) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"licence": " "}, "names no licence"),
        ({"sha256": "0" * 64}, "not the one its card names"),
        ({"model": "other.onnx"}, "lacks its model file other.onnx"),
        ({"output": {"kind": "magic"}}, "output.kind"),
        ({"classes": [{"place": 0}]}, "a class that can't be used"),
        (
            {"classes": [{"place": 0, "said": "x", "category": "none", "level": 3, "threshold": 0.5}]},
            "needs a category",
        ),
        ({"input": {"size": [7, 7]}}, "can't be run"),
    ],
)
def test_a_card_with_a_fault_is_refused_and_says_why(folder: Path, fields: dict[str, object], said: str) -> None:
    change_card(folder, **fields)
    with pytest.raises(DetectorError, match=said):
        ImageDetector(folder)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_card_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / CARD).write_text(text)
    with pytest.raises(DetectorError, match=CARD):
        load_detectors(folder.parent)


def test_every_folder_with_a_card_is_loaded_and_none_is_needed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    assert [one.name for one in load_detectors(tmp_path)] == ["test-colours 1"]
    assert load_detectors(tmp_path / "nowhere") == []


def test_the_box_ships_no_detector() -> None:
    assert list(SHIPPED.rglob(CARD)) == []
    assert [path.parent.name for path in SHIPPED.rglob("*.onnx")] == ["model"]
