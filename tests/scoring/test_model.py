"""A model that can't be used says why, in one sentence."""

import json
import shutil
from pathlib import Path

import pytest

from appliance.safeguarding.severity import CATEGORIES, Category
from appliance.scoring.model import MODEL_FOLDER, ModelFileError, ScoringModel
from appliance.scoring.scorer import Scorer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODEL_FOLDER, tmp_path / "model"))


def test_the_shipped_model_knows_every_category_once() -> None:
    model = ScoringModel()
    assert sorted(model.categories) == sorted(category for category in CATEGORIES if category is not Category.NONE)


def test_the_shipped_model_is_small_enough_to_ship() -> None:
    assert (MODEL_FOLDER / "model.onnx").stat().st_size < 30_000_000


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="missing"):
        Scorer(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=name):
        Scorer(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_changed_by_one_byte_is_refused(folder: Path, name: str) -> None:
    whole = bytearray((folder / name).read_bytes())
    whole[len(whole) // 2] ^= 1
    (folder / name).write_bytes(bytes(whole))
    with pytest.raises(ModelFileError, match=f"{name} is not the one"):
        Scorer(folder)


def test_a_broken_model_with_the_right_hash_is_refused(folder: Path) -> None:
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.onnx").write_bytes(b"")
    card["sha256"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelFileError, match="can't be loaded"):
        Scorer(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": "x"}'])
def test_a_broken_card_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(ModelFileError, match=r"model\.json"):
        Scorer(folder)
