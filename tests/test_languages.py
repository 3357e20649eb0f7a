"""``appliance languages`` shows and chooses, names a missing package, and leaves its mark on the audit trail."""

from datetime import UTC, datetime

import pytest

from appliance.languages import choose_languages, show_languages
from appliance.safeguarding.audit import SYSTEM
from appliance.store import academies
from appliance.workflow.languages import LanguageError, set_academy_languages
from tests.factories import Box

AT = datetime(2026, 11, 24, tzinfo=UTC)


def test_languages_are_chosen_shown_and_taken_back(box: Box) -> None:
    said: list[str] = []
    assert choose_languages(box.config, "ashby", "cym", AT, said.append) == 0
    assert academies.get_languages(box.db, "ashby") == ("cym",)
    assert show_languages(box.config, "ashby", said.append) == 0
    assert "eng+cym" in said[-1]
    assert choose_languages(box.config, "ashby", "none", AT, said.append) == 0
    assert academies.get_languages(box.db, "ashby") == ()
    rows = box.db.conn.execute("SELECT count(*) FROM audit WHERE kind = 'academy:languages'").fetchone()
    assert rows == (2,)


def test_a_language_whose_data_is_missing_is_refused_with_its_package(box: Box) -> None:
    said: list[str] = []
    assert choose_languages(box.config, "ashby", "cym+xyz", AT, said.append) == 1
    assert "tesseract-ocr-xyz" in said[0] and academies.get_languages(box.db, "ashby") == ()


def test_an_academys_language_that_went_missing_is_shown(box: Box) -> None:
    academies.set_languages(box.db, "ashby", ("xyz",))
    said: list[str] = []
    assert show_languages(box.config, None, said.append) == 1
    assert any("tesseract-ocr-xyz" in line for line in said)


@pytest.mark.parametrize(
    ("academy", "languages", "why"),
    [("nowhere", ("pol",), "no academy"), ("ashby", ("../x",), "not one of"), ("ashby", ("aaa",) * 7, "At most")],
)
def test_what_cannot_be_chosen_is_refused(box: Box, academy: str, languages: tuple[str, ...], why: str) -> None:
    with pytest.raises(LanguageError, match=why):
        set_academy_languages(box.db, SYSTEM, academy, languages, AT)
