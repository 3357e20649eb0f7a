"""What is refused before it is decoded, and that the sentence says why."""

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from appliance.ocr.image import decode
from appliance.safeguarding.event import UnreadableImageError

CHAT = (Path(__file__).parent / "images" / "chat_light.webp").read_bytes()
PIXELS = decode(CHAT)


def encoded(extension: str) -> bytes:
    return cv2.imencode(extension, PIXELS)[1].tobytes()


def animated(extension: str) -> bytes:
    frames = cv2.Animation()
    frames.frames = [PIXELS, 255 - PIXELS]
    frames.durations = np.array([100, 100])
    return cv2.imencodeanimation(extension, frames)[1].tobytes()


def png_that_says_it_is(width: int, height: int) -> bytes:
    header = b"IHDR" + width.to_bytes(4) + height.to_bytes(4) + encoded(".png")[24:29]
    return encoded(".png")[:12] + header + zlib.crc32(header).to_bytes(4) + encoded(".png")[33:]


def jpeg_turned_by_exif() -> bytes:
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation, one short, turned by a quarter
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    jpeg = encoded(".jpg")
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:]


@pytest.mark.parametrize("extension", [".png", ".webp"])
def test_lossless_image_is_decoded_pixel_by_pixel(extension: str) -> None:
    assert np.array_equal(decode(encoded(extension)), PIXELS)


def test_jpeg_and_lossy_webp_are_decoded_in_their_size() -> None:
    lossy = cv2.imencode(".webp", PIXELS, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
    assert lossy[12:16] == b"VP8 "
    assert decode(lossy).shape == decode(encoded(".jpg")).shape == PIXELS.shape


def test_webp_with_alpha_is_decoded() -> None:
    see_through = cv2.cvtColor(PIXELS, cv2.COLOR_BGR2BGRA)
    see_through[:9, :9, 3] = 100
    image = cv2.imencode(".webp", see_through, [cv2.IMWRITE_WEBP_QUALITY, 80])[1].tobytes()
    assert image[12:16] == b"VP8X"
    assert decode(image).shape == PIXELS.shape


def test_picture_is_not_turned_as_its_exif_asks() -> None:
    assert decode(jpeg_turned_by_exif()).shape == PIXELS.shape


BAD = {
    "empty": (b"", "empty"),
    "text": (b"a letter from home, not a picture", "not a WebP, PNG or JPEG"),
    "gif": (b"GIF89a" + bytes(200), "not a WebP, PNG or JPEG"),
    "bitmap": (cv2.imencode(".bmp", PIXELS)[1].tobytes(), "not a WebP, PNG or JPEG"),
    "tiff": (cv2.imencode(".tiff", PIXELS)[1].tobytes(), "not a WebP, PNG or JPEG"),
    "sound": (b"RIFF\x24\x08\x00\x00WAVEfmt " + bytes(100), "not a WebP, PNG or JPEG"),
    "half a png": (encoded(".png")[:2000], "cut off"),
    "half a jpeg": (encoded(".jpg")[:2000], "cut off"),
    "half a webp": (CHAT[:2000], "cut off"),
    "start of a png": (encoded(".png")[:12], "cut off"),
    "start of a webp": (CHAT[:16], "cut off"),
    "animated webp": (animated(".webp"), "animated"),
    "animated png": (animated(".png"), "animated"),
    "bomb": (png_that_says_it_is(30_000, 30_000), "30000 x 30000 pixels, more than the 40 megapixels"),
    "no width": (png_that_says_it_is(0, 300), "no width"),
    "another size than said": (png_that_says_it_is(5_000, 300), "damaged"),
    "overwritten png": (encoded(".png")[:60] + bytes(3000) + encoded(".png")[-12:], "damaged"),
    "overwritten webp": (CHAT[:21] + bytes(len(CHAT) - 21), "damaged"),
    "jpeg of nothing": (b"\xff\xd8\xff\xe0\x00\x10" + bytes(14) + b"\xff\xd9", "damaged"),
}


@pytest.mark.parametrize(("image", "reason"), BAD.values(), ids=BAD.keys())
def test_bad_image_is_refused_in_one_sentence(image: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason) as refused:
        decode(image)
    sentence = str(refused.value)
    assert sentence[0].isupper() and sentence.endswith(".") and "\n" not in sentence


def test_largest_screens_are_allowed() -> None:
    three_4k_screens = np.zeros((2160, 11520, 3), np.uint8)
    assert decode(cv2.imencode(".png", three_4k_screens)[1].tobytes()).shape == three_4k_screens.shape
