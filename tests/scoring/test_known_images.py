"""A picture on a trust's list is known again, alone or on a screen, changed a little; others are not."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from appliance.safeguarding.severity import Category, Severity
from appliance.scoring.known_images import ImageListError, KnownImages, find_pictures, hash_picture

IMAGES = Path(__file__).parents[1] / "ocr" / "images"
BY_THE_ORIGINAL = {
    "chat_light": "001903132387c183830307674647c64bc7c71ba69993f9b93a7c3c79fc99fffc",
    "welsh": "33f9324dcd9649991089ff66ff76b66c1009cdb2439932c9cd93cd931009be66",
}
"""Hashes of pictures in this tree as the original library of PDQ (pdqhash 0.2.8) computes them."""


def photograph(seed: int, width: int = 400, height: int = 300) -> np.ndarray:
    """Something like a photograph: soft shapes and some grain."""
    rng = np.random.default_rng(seed)
    shapes = cv2.resize(
        rng.integers(0, 255, (7, 9, 3)).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC
    )
    return np.clip(shapes.astype(int) + rng.integers(-14, 14, shapes.shape), 0, 255).astype(np.uint8)


def page(picture: np.ndarray, left: int = 300, top: int = 200, ground: int = 255) -> np.ndarray:
    """A screen with some lines of text and a picture on it."""
    screen = np.full((768, 1366, 3), ground, np.uint8)
    for line in range(20):
        cv2.putText(
            screen, "the bus was late again today", (20, 30 + line * 36), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (90,) * 3
        )
    screen[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return screen


def list_of(folder: Path, *pictures: np.ndarray, head: str = "", name: str = "trust.txt") -> KnownImages:
    rows = [hash_picture(picture).text for picture in pictures]
    (folder / name).write_text(head + "\n".join(rows) + "\n")
    return KnownImages(folder)


@pytest.mark.parametrize("name", sorted(BY_THE_ORIGINAL))
def test_hash_is_the_originals_bit_by_bit(name: str) -> None:
    picture = cv2.imread(str(IMAGES / f"{name}.webp"))
    assert hash_picture(picture).text == BY_THE_ORIGINAL[name]


def test_a_plain_ground_has_too_little_to_be_told_by() -> None:
    assert hash_picture(np.full((300, 300, 3), 200, np.uint8)).quality < 50


def changed(picture: np.ndarray) -> dict[str, np.ndarray]:
    squeezed = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_COLOR)
    return {
        "itself": picture,
        "another size": cv2.resize(picture, (260, 195), interpolation=cv2.INTER_AREA),
        "squeezed": squeezed,
        "darker": (picture * 0.7).astype(np.uint8),
    }


@pytest.mark.parametrize("how", ["itself", "another size", "squeezed", "darker"])
def test_a_known_picture_is_known_when_changed_a_little(tmp_path: Path, how: str) -> None:
    known = list_of(tmp_path, photograph(1), photograph(2))
    (finding,) = known.find(changed(photograph(2))[how])
    assert (finding.category, finding.level) == (Category.SEXUAL, Severity.IMMEDIATE)
    assert "list of known images “trust”" in finding.said


@pytest.mark.parametrize("ground", [255, 24])
def test_a_known_picture_on_a_screen_is_found(tmp_path: Path, ground: int) -> None:
    known = list_of(tmp_path, photograph(3))
    assert known.find(page(photograph(3), ground=ground))
    assert known.find(page(cv2.resize(photograph(3), (520, 390)), left=700, top=90, ground=ground))


def test_other_pictures_and_pages_are_not_known(tmp_path: Path) -> None:
    known = list_of(tmp_path, *(photograph(seed) for seed in range(50)))
    for seed in range(100, 120):
        assert known.find(photograph(seed)) == []
        assert known.find(page(photograph(seed))) == []
    for path in IMAGES.glob("*.webp"):
        assert known.find(cv2.imread(str(path))) == []


def test_pictures_on_a_screen_are_told_from_its_text() -> None:
    (found,) = find_pictures(page(photograph(5)))
    assert np.abs(np.array(found) - [300, 200, 700, 500]).max() <= 3
    assert find_pictures(page(photograph(5)[:10, :10])) == []


def test_a_list_says_its_name_and_what_a_match_is(tmp_path: Path) -> None:
    head = "\ufeffhash,quality\n# name: Extremist symbols\n# category: extremism\n# level: 4\n"
    rows = hash_picture(photograph(1)).text.upper() + ",100\n\n"
    (tmp_path / "a.txt").write_text(head + rows)
    known = KnownImages(tmp_path)
    (finding,) = known.find(photograph(1))
    assert len(known) == 1 and "Extremist symbols" in finding.said
    assert (finding.category, finding.level) == (Category.EXTREMISM, Severity.SERIOUS)


@pytest.mark.parametrize("line", ["abc", "0" * 63, "g" * 64, "# category: weather", "# level: 9"])
def test_a_bad_line_is_named_and_the_list_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.txt").write_text("0" * 64 + "\n" + line + "\n")
    with pytest.raises(ImageListError, match=r"bad\.txt"):
        KnownImages(tmp_path)


def test_no_folder_and_an_empty_one_know_nothing(tmp_path: Path) -> None:
    assert len(KnownImages(tmp_path / "nowhere")) == 0
    assert KnownImages(tmp_path).find(photograph(1)) == []
    assert list_of(tmp_path, head="# nothing yet\n").find(photograph(1)) == []


@pytest.mark.parametrize("shape", [(5, 5), (1, 900), (900, 3), (64, 64), (97, 131)])
def test_pictures_of_any_shape_are_taken(tmp_path: Path, shape: tuple[int, int]) -> None:
    known = list_of(tmp_path, photograph(1))
    assert known.find(np.random.default_rng(1).integers(0, 255, (*shape, 3)).astype(np.uint8)) == []
