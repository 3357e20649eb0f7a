"""Blanks what must not be on a picture: controls that hide what is typed, and windows the policy leaves alone."""

from collections.abc import Callable, Iterable

from PIL import Image, ImageDraw

from agent.policy import Policy
from agent.sensors.ports import Area, Screen, Shown, Window

MARGIN = 2
"""Pixels blanked around an area: frames and shadows are drawn a little outside of what a platform reports."""
FILL = (96, 96, 96)


def redact(image: Image.Image, areas: Iterable[Area]) -> Image.Image:
    """A copy of ``image`` with ``areas`` blanked. An area without extent blanks everything: its place isn't known."""
    blanked = image.convert("RGB")
    if blanked is image:
        blanked = image.copy()
    draw = ImageDraw.Draw(blanked)
    for area in areas:
        if area.width <= 0 or area.height <= 0:
            draw.rectangle((0, 0, *blanked.size), fill=FILL)
            break
        draw.rectangle(
            (
                area.left - MARGIN,
                area.top - MARGIN,
                area.left + area.width + MARGIN - 1,
                area.top + area.height + MARGIN - 1,
            ),
            fill=FILL,
        )
    return blanked


class RedactedScreen:
    """A Screen that never gives what must not be seen. No picture at all comes where the platform can't tell."""

    def __init__(self, screen: Screen, window: Window, policy: Callable[[], Policy]) -> None:
        self._screen = screen
        self._window = window
        self._policy = policy

    def grab(self) -> Image.Image | None:
        """The screen with the areas blanked that were protected before or after it was taken."""
        policy = self._policy()
        before = self._areas(policy)
        image = self._screen.grab()
        if before is None or image is None or isinstance(image, bytes):
            return None
        after = self._areas(policy)  # a window may have moved, or a field appeared, while it was taken
        if after is None:
            return None
        blanked, part = redact(image, {*before, *after}), self._window.part_to_keep()
        if part is None:
            return blanked
        return blanked.crop((part.left, part.top, part.left + part.width, part.top + part.height))

    def _areas(self, policy: Policy) -> list[Area] | None:
        protected = self._window.protected_areas()
        if protected is None:
            return None
        return [*protected, *(shown.area for shown in self._window.shown() if _is_excluded(shown, policy))]


def _is_excluded(shown: Shown, policy: Policy) -> bool:
    return policy.excludes(shown.application, "")
