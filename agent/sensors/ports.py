"""The ports between the platform and the core: what every sensor hands over, and what it may be asked for.

`TextEvent` is a whole text; live platforms hand over what happens, piece by piece (`Happening`), and
`agent.assembler` makes texts of it.
"""

from collections.abc import Callable, Iterator
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


@dataclass(frozen=True, slots=True)
class Place:
    """Where the keyboard's focus is. window and control: names that are unique while the window, the control lives.

    protected: as in TextEvent. A control that was
    protected once stays so for as long as its window is there, whatever it says later.
    """

    account: str
    application: str
    window: str
    window_title: str
    control: str
    role: str
    protected: bool | None
    address: str = ""


@dataclass(frozen=True, slots=True)
class Focused:
    """The focus is somewhere else now, or what is known of the place has changed (a window's title)."""

    at: datetime
    place: Place


@dataclass(frozen=True, slots=True)
class Inserted:
    """Text came into a control: typed or pasted. position: characters before it; before: the last of them, if known."""

    at: datetime
    control: str
    position: int
    text: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class Deleted:
    """Characters went from a control. position: of the first of them; count: how many."""

    at: datetime
    control: str
    position: int
    count: int


@dataclass(frozen=True, slots=True)
class Stroke:
    """A key, where the platform knows nothing better. text: what it types, "" for a key that has a ``name`` only:
    "BackSpace", "Delete", "Return", "Left", "Right", "Home", "End", and "Other" for any that moves the caret elsewhere.
    """

    at: datetime
    text: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Away:
    """Nobody's words are to be read: the screen is locked, or another person's session is in front. back: over now."""

    at: datetime
    back: bool = False


@dataclass(frozen=True, slots=True)
class WindowGone:
    """A window was closed, and its controls with it."""

    at: datetime
    window: str


@dataclass(frozen=True, slots=True)
class Asked:
    """The person at the device asked for help, or accepted the notice. words: their own, may be empty.

    picture: whether the screen goes along. accepted: the version of the notice that was accepted, None for help.
    """

    at: datetime
    account: str
    words: str = ""
    picture: bool = False
    accepted: str | None = None


Happening = Focused | Inserted | Deleted | Stroke | Away | WindowGone | Asked


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in the pixels of what ``Screen.grab`` gives."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A window on the screen."""

    application: str
    title: str
    area: Area


class TextSource(Protocol):
    """Where whole texts come from."""

    def events(self) -> Iterator[TextEvent]:
        """The text events as they happen; ends when the source has no more or is told to stop."""
        ...


class Sensor(Protocol):
    """A live platform. ``put`` may be called from any thread, and only enqueues."""

    platform: str

    def start(self, put: Callable[[Happening], None]) -> None:
        """Begin to watch. Raises SensorError where the platform can't be watched at all."""
        ...

    def stop(self) -> None:
        """Stop watching; nothing is put any more when this returns."""
        ...

    def permissions_missing(self) -> tuple[str, ...]:
        """Short ids of what the platform doesn't let this agent see; empty when all is well."""
        ...


class Screen(Protocol):
    """What is on the screen now."""

    def grab(self) -> Image.Image | bytes | None:
        """The screen as an image, as a recorded WebP file's bytes, or None where there is nothing to take."""
        ...


class Window(Protocol):
    """What stands where on the screen."""

    def shown(self) -> tuple[Shown, ...]:
        """The windows that are on the screen."""
        ...

    def protected_areas(self) -> tuple[Area, ...] | None:
        """Where controls stand that hide what is typed; None where it can't be told, and then no image is kept."""
        ...

    def part_to_keep(self) -> Area | None:
        """The monitor that a person is writing on, where all of them together would be too much; None for all."""
        ...


class Indicator(Protocol):
    """What the person at the device always sees."""

    def show(self, monitored: bool) -> None:
        """Say "monitored now" or "not monitored now"."""
        ...

    def stop(self) -> None:
        """Take it away: the agent ends."""
        ...


class SensorError(Exception):
    """The platform can't be watched. The message is one sentence for the person who set the device up."""
