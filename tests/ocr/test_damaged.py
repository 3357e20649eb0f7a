"""Damaged pictures of any kind: each is read or refused in a sentence, and the reader stays fit for the next."""

import random
from pathlib import Path

import cv2
import pytest

from appliance.ocr import Reader
from appliance.ocr.image import decode
from appliance.ocr.preview import make_preview
from appliance.safeguarding.event import UnreadableImageError

CHAT = (Path(__file__).parent / "images" / "chat_light.webp").read_bytes()
SMALL = decode(CHAT)[:120, :260]
KINDS = {
    "png": cv2.imencode(".png", SMALL)[1].tobytes(),
    "jpeg": cv2.imencode(".jpg", SMALL)[1].tobytes(),
    "webp": cv2.imencode(".webp", SMALL, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes(),
    "lossy webp": cv2.imencode(".webp", SMALL, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes(),
}
TRIES = 60
"""Damaged copies of each kind: enough to meet every way a header can be wrong, and some seconds in all."""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(cache_lines=50, seconds_allowed=20)


def damaged(image: bytes, rng: random.Random) -> bytes:
    """A copy cut, overwritten, doubled, shuffled or with bits turned over."""
    data = bytearray(image)
    how = rng.choice(["cut", "bits", "bits", "header", "header", "zeros", "double", "length", "swap"])
    at = rng.randrange(len(data))
    if how == "cut":
        del data[at:]
    elif how == "bits":
        for _ in range(rng.randint(1, 30)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == "header":
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(min(60, len(data)))] = rng.randrange(256)
    elif how == "zeros":
        data[at : at + rng.randint(1, 400)] = bytes(rng.randint(1, 400))
    elif how == "double":
        data[at:at] = data[max(0, at - 200) : at]
    elif how == "length":
        data[4:8] = rng.randrange(2**32).to_bytes(4, "little")
    else:
        other = rng.randrange(len(data))
        data[at : at + 40], data[other : other + 40] = data[other : other + 40], data[at : at + 40]
    return bytes(data)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_damaged_picture_is_read_or_refused_in_a_sentence(reader: Reader, kind: str) -> None:
    rng = random.Random(kind)
    refused = 0
    for _ in range(TRIES):
        image = damaged(KINDS[kind], rng)
        try:
            reading = reader.read(image)
        except UnreadableImageError as error:
            refused += 1
            assert str(error).endswith(".") and "\n" not in str(error)
            with pytest.raises(UnreadableImageError):
                make_preview(image)
            continue
        height, width = decode(image).shape[:2]
        for word in reading.words:
            x, y, wide, high = word.box
            assert 0 <= x < x + wide <= width and 0 <= y < y + high <= height
            assert 0 <= word.confidence <= 100
    assert refused
    assert "party" in reader.read(CHAT).text or reader.read(CHAT).words


@pytest.mark.parametrize("length", [1, 7, 8, 12, 29, 30, 33, 64, 300])
def test_noise_that_begins_like_a_picture_is_refused(reader: Reader, length: int) -> None:
    rng = random.Random(length)
    for start in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
        b"RIFF\x24\x00\x00\x00WEBPVP8 ",
        b"RIFF\xff\xff\xff\x7fWEBPVP8X",
    ):
        with pytest.raises(UnreadableImageError):
            reader.read(start + rng.randbytes(length))
