"""Captures: lossless where it fits, never smaller in pixels, and a recorded screen passed through."""

import io

import pytest
from PIL import Image, ImageChops

from agent.capture import CaptureError, encode_image, is_plain_lossless_webp, take_capture


class Still:
    """A screen that shows one thing."""

    def __init__(self, shown):
        self._shown = shown

    def grab(self):
        if isinstance(self._shown, Exception):
            raise self._shown
        return self._shown


def webp(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def test_a_screen_is_kept_pixel_for_pixel(page):
    capture = take_capture(Still(page(1366, 768)))
    assert (capture.media_type, capture.width, capture.height) == ("image/webp", 1366, 768)
    assert is_plain_lossless_webp(capture.data)
    assert ImageChops.difference(decoded(capture.data), page(1366, 768)).getbbox() is None


def test_a_screen_too_large_for_the_limit_is_lossy_and_of_the_same_size(noise):
    image = noise(640, 480)
    lossless = encode_image(image, 10_000_000)
    assert is_plain_lossless_webp(lossless.data) and len(lossless.data) > 900_000
    capture = take_capture(Still(image))
    assert len(capture.data) <= 900_000 and not is_plain_lossless_webp(capture.data)
    assert decoded(capture.data).size == (capture.width, capture.height) == (640, 480)


def test_a_screen_that_fits_at_no_quality_is_refused(noise):
    with pytest.raises(CaptureError, match="fit"):
        encode_image(noise(300, 300), 2_000)


def test_a_recorded_lossless_screen_is_passed_through_untouched(page):
    data = webp(page(), lossless=True, method=6)
    assert take_capture(Still(data)).data == data


@pytest.mark.parametrize("options", [{"quality": 70}, {"lossless": True, "exif": b"Exif\0\0a note about the maker"}])
def test_another_recorded_screen_is_encoded_anew_and_loses_nothing_more(page, options):
    data = webp(page(), **options)
    capture = take_capture(Still(data))
    assert is_plain_lossless_webp(capture.data) and b"note" not in capture.data
    assert ImageChops.difference(decoded(capture.data), decoded(data)).getbbox() is None


def test_a_recorded_screen_over_the_limit_is_encoded_anew(noise):
    capture = take_capture(Still(webp(noise(200, 200), lossless=True)), 60_000)
    assert len(capture.data) <= 60_000


def test_no_screen_is_no_capture():
    assert take_capture(Still(None)) is None


def test_a_screen_that_cannot_be_taken_is_one_kind_of_error(page):
    whole = webp(page(), lossless=True)
    for shown in (b"RIFF", b"no image at all", whole[:60], OSError("secret path"), MemoryError()):
        with pytest.raises(CaptureError) as caught:
            take_capture(Still(shown))
        assert "secret" not in str(caught.value)


def test_a_screen_wider_than_webp_can_be_is_refused():
    with pytest.raises(CaptureError, match="pixels"):
        encode_image(Image.new("1", (17_000, 2)))
