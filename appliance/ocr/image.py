"""Turns the bytes of a capture into pixels, and refuses what can't be read before much work is spent on it.

Captures come from devices the box doesn't control, so type and size are taken from the file's own first bytes before a
decoder sees it, and OpenCV alone decodes: the old decoders that tesserocr bundles never meet a device's bytes.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.safeguarding.event import UnreadableImageError

Pixels = NDArray[Any]
"""Bytes, rows x columns x 3: blue, green, red."""

MEGAPIXELS_ALLOWED = 40
"""Three 4K screens side by side are 25 megapixels; a decompression bomb is thousands."""

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
JPEG_END = b"\xff\xd9"
# start-of-frame markers; C4, C8 and CC in the same range mean something else
JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})

TRUNCATED = "The image is cut off before its end."


def decode(image: bytes) -> Pixels:
    """The pixels of a WebP, PNG or JPEG, rows x columns x 3, as stored: EXIF orientation is not applied.

    Raises UnreadableImageError, one sentence, for an image that is empty, of another type, cut off, animated, larger
    than 40 megapixels or damaged. An animated one is refused, not read in part: a reading of one frame would look whole
    while words in the other frames went unseen, and a refused capture goes to a person.
    """
    if not image:
        raise UnreadableImageError("The image is empty.")
    width, height = _measure(image)
    if width < 1 or height < 1:
        raise UnreadableImageError("The image has no width or no height.")
    if width * height > MEGAPIXELS_ALLOWED * 1_000_000:
        raise UnreadableImageError(
            f"The image is {width} x {height} pixels, more than the {MEGAPIXELS_ALLOWED} megapixels allowed."
        )
    try:
        # boxes are promised in the pixels as stored, so no turning by EXIF
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape[:2] != (height, width):
        raise UnreadableImageError("The image is damaged and can't be decoded.")
    return pixels


def _measure(image: bytes) -> tuple[int, int]:
    """Width and height from the header. Raises UnreadableImageError where type, length or frames forbid decoding."""
    if image.startswith(PNG_START):
        return _measure_png(image)
    if image.startswith(JPEG_START):
        return _measure_jpeg(image)
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return _measure_webp(image)
    raise UnreadableImageError("The file is not a WebP, PNG or JPEG image.")


def _measure_png(image: bytes) -> tuple[int, int]:
    """Walks the chunks up to the pixel data: IHDR has the size, acTL marks an animation."""
    if len(image) < 33 or b"IEND" not in image[-64:]:
        raise UnreadableImageError(TRUNCATED)
    if image[12:16] != b"IHDR":
        raise UnreadableImageError("The image is damaged and can't be decoded.")
    size = int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
    at = 33
    while at + 8 <= len(image) and image[at + 4 : at + 8] != b"IDAT":
        if image[at + 4 : at + 8] == b"acTL":
            raise UnreadableImageError("The image is animated; a capture must be one still picture.")
        at += 12 + int.from_bytes(image[at : at + 4])
    return size


def _measure_jpeg(image: bytes) -> tuple[int, int]:
    """Walks the segments to the start of the frame. A decoder fills a cut-off JPEG with grey, so the end is checked."""
    if JPEG_END not in image[-1024:]:
        raise UnreadableImageError(TRUNCATED)
    at = 2
    while at + 9 <= len(image) and image[at] == 0xFF:
        marker = image[at + 1]
        if marker == 0xFF:  # padding before a marker
            at += 1
        elif marker in JPEG_BARE_MARKERS:
            at += 2
        elif marker in JPEG_FRAME_MARKERS:
            return int.from_bytes(image[at + 7 : at + 9]), int.from_bytes(image[at + 5 : at + 7])
        else:
            at += 2 + int.from_bytes(image[at + 2 : at + 4])
    raise UnreadableImageError("The image is damaged and can't be decoded.")


def _measure_webp(image: bytes) -> tuple[int, int]:
    """The three kinds of WebP keep their size in three ways; only the extended kind can be animated."""
    # RIFF counts itself from byte 8 on
    if len(image) < 30 or len(image) < int.from_bytes(image[4:8], "little") + 8:
        raise UnreadableImageError(TRUNCATED)
    kind = image[12:16]
    if kind == b"VP8X":
        if image[20] & 0x02:
            raise UnreadableImageError("The image is animated; a capture must be one still picture.")
        return int.from_bytes(image[24:27], "little") + 1, int.from_bytes(image[27:30], "little") + 1
    if kind == b"VP8L" and image[20] == 0x2F:
        bits = int.from_bytes(image[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and image[23:26] == b"\x9d\x01\x2a":
        return int.from_bytes(image[26:28], "little") & 0x3FFF, int.from_bytes(image[28:30], "little") & 0x3FFF
    raise UnreadableImageError("The image is damaged and can't be decoded.")
