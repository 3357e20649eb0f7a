"""The ports between the platform and the core: what every sensor hands over, and what it may be asked for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from PIL import Image


@dataclass(frozen=True, slots=True)
class TextEvent:
    """Text that appeared in a control that has the focus.

    account: the name signed in on the device. role: the control's role as the platform calls it.
    protected: whether the control hides what is typed; None means the platform couldn't tell, and counts as True.
    at: aware, in UTC. earlier: lines that stood in the control before, oldest first; they are context, not typed now.
    """

    account: str
    application: str
    window_title: str
    address: str
    role: str
    protected: bool | None
    text: str
    at: datetime
    earlier: tuple[str, ...] = ()


class TextSource(Protocol):
    """Where text comes from."""

    def events(self) -> Iterator[TextEvent]:
        """The text events as they happen; ends when the source has no more or is told to stop."""
        ...


class Screen(Protocol):
    """What is on the screen now."""

    def grab(self) -> Image.Image | bytes | None:
        """The screen as an image, as a recorded WebP file's bytes, or None where there is nothing to take."""
        ...
