"""Real screens of our own, read by the real Tesseract."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from appliance.ocr import MissingLanguageError, Reader
from appliance.ocr.image import Pixels, decode
from appliance.safeguarding.event import Reading, UnreadableImageError, Word

IMAGES = Path(__file__).parent / "images"
LIGHT = (IMAGES / "chat_light.webp").read_bytes()
COLOUR = (IMAGES / "chat_colour.webp").read_bytes()
WELSH = (IMAGES / "welsh.webp").read_bytes()

LAST_LINE = 148
"""The row of pixels in chat_light above its last line."""
LIGHT_LINES = [
    "did you finish the maths homework",
    "the library closes at half past four, so hurry",
    "they are waiting for me after school",
    "can someone send me page 42 please",
]


def webp(pixels: Pixels) -> bytes:
    return cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()


def lines(reading: Reading) -> list[str]:
    return [line for line in reading.text.split("\n") if line]


def words_above(reading: Reading, bottom: int) -> list[Word]:
    return [word for word in reading.words if word.box[1] + word.box[3] <= bottom]


@pytest.fixture(scope="module")
def plain_reader() -> Reader:
    return Reader(cache_lines=0)


def test_light_screen_is_read_line_by_line(plain_reader: Reader) -> None:
    assert lines(plain_reader.read(LIGHT)) == ["Tamsin Marwood today 16:05", *LIGHT_LINES]


def test_dark_screen_reads_as_the_light_one(plain_reader: Reader) -> None:
    assert lines(plain_reader.read(webp(255 - decode(LIGHT))))[1:] == LIGHT_LINES


def test_faint_text_is_read(plain_reader: Reader) -> None:
    faint = (255 - (255 - decode(LIGHT).astype(int)) // 4).astype(np.uint8)
    assert lines(plain_reader.read(webp(faint)))[1:] == LIGHT_LINES


def test_bubbles_of_any_colour_are_read(plain_reader: Reader) -> None:
    text = plain_reader.read(COLOUR).text
    for line in (
        "who is on my team for rounders",
        "nobody would even notice if i went",
        "the new level is really hard",
        "happy birthday for tomorrow",
    ):
        assert line in text
    assert "please talk to Miss Penhale\nabout it, she is always kind" in text


def test_words_come_in_reading_order_with_boxes_on_their_ink(plain_reader: Reader) -> None:
    reading = plain_reader.read(LIGHT)
    assert [word.text for word in reading.words] == reading.text.split()
    dark = decode(LIGHT).min(axis=2) < 160
    for word in reading.words:
        x, y, width, height = word.box
        assert all(type(edge) is int for edge in word.box)
        assert x >= 0 and x + width <= dark.shape[1] and y >= 0 and y + height <= dark.shape[0]
        assert dark[y : y + height, x : x + width].any()
        assert 0 <= word.confidence <= 100
    assert reading.engine.startswith("tesseract") and reading.engine.endswith("eng")


def test_all_three_kinds_of_image_read_alike(plain_reader: Reader) -> None:
    png = cv2.imencode(".png", decode(LIGHT))[1].tobytes()
    jpeg = cv2.imencode(".jpg", decode(LIGHT), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert plain_reader.read(png).words == plain_reader.read(LIGHT).words
    assert lines(plain_reader.read(jpeg))[1:] == LIGHT_LINES


def test_text_on_a_photograph_is_read(plain_reader: Reader) -> None:
    chance = np.random.default_rng(4)
    photograph = cv2.resize(chance.integers(30, 150, (9, 16, 3), np.uint8), (520, 300), interpolation=cv2.INTER_CUBIC)
    for _ in range(8):
        start, end = chance.integers(0, 300, (2, 2)).tolist()
        cv2.line(photograph, start, end, chance.integers(30, 130, 3).tolist(), 4, cv2.LINE_AA)
    letters = (255 - decode(LIGHT).astype(float)) / 255
    text = plain_reader.read(webp((photograph * (1 - letters) + 255 * letters).astype(np.uint8))).text
    assert "did you finish the maths homework" in text
    assert "half past four, so hurry" in text
    assert "can someone send me page 42 please" in text


@pytest.mark.parametrize("shape", [(1, 1), (1, 900), (900, 1), (5, 5), (300, 400)])
def test_picture_without_text_gives_no_words(plain_reader: Reader, shape: tuple[int, int]) -> None:
    empty = np.full((*shape, 3), 200, np.uint8)
    assert plain_reader.read(webp(empty)).text == ""
    assert plain_reader.read(webp(empty)).words == ()


def test_unreadable_image_leaves_the_reader_fit_for_the_next(plain_reader: Reader) -> None:
    with pytest.raises(UnreadableImageError):
        plain_reader.read(LIGHT[:1000])
    assert lines(plain_reader.read(LIGHT))[1:] == LIGHT_LINES


def test_same_capture_again_gives_the_same_words() -> None:
    reader = Reader()
    first, second = reader.read(LIGHT), reader.read(LIGHT)
    assert (second.words, second.text) == (first.words, first.text)


def test_capture_typed_into_keeps_its_old_lines_and_gains_the_new() -> None:
    reader = Reader()
    before = decode(LIGHT).copy()
    before[LAST_LINE:] = 255
    first, second = reader.read(webp(before)), reader.read(LIGHT)
    assert lines(first)[1:] == LIGHT_LINES[:3]
    assert lines(second)[1:] == LIGHT_LINES
    old = words_above(second, LAST_LINE)
    assert [(word.text, word.box) for word in old] == [(word.text, word.box) for word in first.words]


def test_scrolled_capture_gives_the_same_words_higher_up() -> None:
    reader = Reader()
    first = reader.read(LIGHT)
    scrolled = reader.read(webp(np.roll(decode(LIGHT), -12, axis=0)))
    assert [(word.text, word.box[0], word.box[1] + 12) for word in scrolled.words] == [
        (word.text, word.box[0], word.box[1]) for word in first.words
    ]


def test_remembered_lines_come_from_memory_and_not_from_another_reading() -> None:
    """A reader that has nothing left but its memory still has the old lines: the new line alone is asked for."""
    reader = Reader()
    before = decode(LIGHT).copy()
    before[LAST_LINE:] = 255
    reader.read(webp(before))
    asked: list[tuple[int, ...]] = []
    read = reader._engine.read

    def listen(paper, *rest):  # type: ignore[no-untyped-def]
        asked.append(paper.shape)
        return read(paper, *rest)

    reader._engine.read = listen  # type: ignore[method-assign]
    assert lines(reader.read(LIGHT))[1:] == LIGHT_LINES
    assert asked and max(height for height, _ in asked) < 80


def test_memory_changes_nothing_for_an_unrelated_capture(plain_reader: Reader) -> None:
    reader = Reader()
    reader.read(LIGHT)
    assert reader.read(COLOUR).words == plain_reader.read(COLOUR).words


def test_welsh_is_read_with_its_accents_when_asked_for() -> None:
    text = Reader(("eng", "cym")).read(WELSH).text
    assert "Mae'r tŷ ar ben y bryn a'r dŵr yn oer" in text
    assert "Dw i ddim eisiau mynd i'r ysgol yfory" in text
    assert "gân" in text


def test_missing_language_names_its_package() -> None:
    with pytest.raises(MissingLanguageError, match="tesseract-ocr-chi-none"):
        Reader(("eng", "chi_none"))


def test_missing_folder_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(MissingLanguageError, match="tesseract-ocr-eng"):
        Reader(tessdata=tmp_path)


def test_language_code_cannot_leave_the_folder() -> None:
    with pytest.raises(ValueError, match="not a language code"):
        Reader(("../eng",))


def test_capture_that_takes_too_long_is_unreadable() -> None:
    many = webp(np.tile(decode(LIGHT), (4, 3, 1)))
    with pytest.raises(UnreadableImageError, match="longer than the time allowed"):
        Reader(seconds_allowed=0.01).read(many)
