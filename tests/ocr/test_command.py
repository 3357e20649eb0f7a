"""What `read` prints."""

import io
import json
from pathlib import Path

import pytest

from appliance.ocr import Reader
from appliance.ocr.command import read_files

IMAGES = Path(__file__).parent / "images"


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def test_each_file_is_one_object_and_the_rest_is_read_after_a_bad_one(reader: Reader, tmp_path: Path) -> None:
    bad, missing = tmp_path / "bad.png", tmp_path / "missing.png"
    bad.write_bytes(b"no picture")
    out = io.StringIO()
    status = read_files([bad, missing, IMAGES / "chat_light.webp"], reader, out)
    first, second, third = (json.loads(line) for line in out.getvalue().splitlines())
    assert status == 1
    for failed, path in ((first, bad), (second, missing)):
        assert set(failed) == {"file", "error", "text", "words", "seconds"}
        assert (failed["file"], failed["text"], failed["words"]) == (str(path), "", [])
    assert first["error"] == "The file is not a WebP, PNG or JPEG image."
    assert second["error"].startswith("The file can't be opened")
    assert set(third) == {"file", "text", "words", "seconds"}
    assert "did you finish the maths homework" in third["text"]
    assert {frozenset(word) for word in third["words"]} == {frozenset({"text", "box", "confidence"})}
    assert [word["text"] for word in third["words"]] == third["text"].split()
    assert all(len(word["box"]) == 4 for word in third["words"])
    assert third["seconds"] >= 0


def test_good_files_end_with_0(reader: Reader) -> None:
    assert read_files([IMAGES / "chat_light.webp"], reader, io.StringIO()) == 0


def test_accents_are_printed_as_they_are(tmp_path: Path) -> None:
    out = io.StringIO()
    read_files([IMAGES / "welsh.webp"], Reader(("eng", "cym")), out)
    assert "tŷ" in out.getvalue()


def test_plain_output_has_a_heading_and_the_text(reader: Reader, tmp_path: Path) -> None:
    out = io.StringIO()
    status = read_files([IMAGES / "chat_light.webp", tmp_path / "missing.png"], reader, out, as_json=False)
    assert status == 1
    assert out.getvalue().startswith(f"== {IMAGES / 'chat_light.webp'}\n")
    assert "did you finish the maths homework\n" in out.getvalue()
    assert "The file can't be opened" in out.getvalue()
