"""Blocks that English makes little of are read in the academy's other languages; English ones are left alone."""

from pathlib import Path

import pytest

from appliance.ocr import Reader, Readers, has_language, package_of
from appliance.ocr.readers import ALWAYS, MOST_READERS

IMAGES = Path(__file__).parent / "images"
WELSH = (IMAGES / "welsh.webp").read_bytes()
LIGHT = (IMAGES / "chat_light.webp").read_bytes()


def test_english_and_welsh_are_always_read() -> None:
    assert "a'r dŵr yn oer" in Readers().read(WELSH).text
    assert "a'r dŵr yn oer" in Readers(("eng",)).read(WELSH).text


def test_an_english_screen_reads_the_same_with_other_languages_at_hand() -> None:
    assert Reader(("eng", "cym"), cache_lines=0).read(LIGHT).words == Reader(("eng",), cache_lines=0).read(LIGHT).words


def test_a_reading_names_the_languages_it_was_made_with() -> None:
    assert Readers().read(LIGHT).engine.endswith("eng+cym")


def test_lines_of_another_language_are_remembered_too() -> None:
    reader = Reader(("eng", "cym"))
    first = reader.read(WELSH)
    reader.read(LIGHT)
    again = reader.read(WELSH)
    assert again.text == first.text


def test_a_language_that_is_not_there_is_passed_over_and_told() -> None:
    readers = Readers()
    assert readers.read(LIGHT, ("xyz",)).words == readers.read(LIGHT).words
    assert readers.check([("Northgate", ("cym", "chi_sim_none"))]) == [
        "Northgate chose 'chi_sim_none', and this box can't read it: install the package tesseract-ocr-chi-sim-none."
    ]


@pytest.mark.parametrize("language", ["../eng", "", "eng/..", "no-such"])
def test_what_is_no_name_of_a_language_is_not_there(language: str) -> None:
    assert not has_language(language)


def test_packages_are_debians() -> None:
    assert all(has_language(one) for one in ALWAYS)
    assert (package_of("pol"), package_of("chi_sim")) == ("tesseract-ocr-pol", "tesseract-ocr-chi-sim")


def test_few_readers_are_kept_warm(tmp_path: Path) -> None:
    import shutil

    from appliance.ocr.engine import _find_tessdata

    real = _find_tessdata(ALWAYS)
    for name in ("eng", "cym", *(f"copy_{letter}" for letter in "abcdef")):
        source = name if name in ALWAYS else "cym"
        shutil.copy(real / f"{source}.traineddata", tmp_path / f"{name}.traineddata")
    readers = Readers(tessdata=tmp_path)
    for letter in "abcdef":
        assert readers.read(WELSH, (f"copy_{letter}",)).engine.endswith(f"eng+cym+copy_{letter}")
    assert len(readers._readers) == MOST_READERS
