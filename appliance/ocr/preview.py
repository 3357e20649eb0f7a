"""A capture's preview: a few grey pixels that show there is a picture, and nothing of what is on it."""

import cv2

from appliance.ocr.image import decode

WIDTH = 32
MOST_HEIGHT = 72
BLUR = 0.1
"""Radius of the blur (one standard deviation) as a share of the width: wider than the letters of a headline."""

_WORKING_WIDTH = 128


def make_preview(image: bytes) -> bytes:
    """A grey PNG WIDTH pixels wide on which nothing can be read. image: an encoded picture (PNG, WebP, JPEG).

    Raises UnreadableImageError.
    """
    grey = cv2.cvtColor(decode(image), cv2.COLOR_BGR2GRAY)
    height = max(1, min(MOST_HEIGHT, round(WIDTH * grey.shape[0] / grey.shape[1])))
    # the blur is what hides; doing it on a reduced frame gives the same and costs a hundredth
    scale = _WORKING_WIDTH // WIDTH
    small = cv2.resize(grey, (_WORKING_WIDTH, height * scale), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), BLUR * _WORKING_WIDTH)
    preview = cv2.resize(blurred, (WIDTH, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".png", preview)[1].tobytes()
