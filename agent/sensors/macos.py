"""macOS: the Accessibility API in the session of the person signed in. It holds no key and no queue (docs/devices.md).

Not run on macOS by the project yet; the shape is held by the contract tests with a stand-in for the API. The system
asks the person, or the device management, for each permission; what is missing is told and the agent goes on without.
"""

import platform
import threading
from collections.abc import Callable
from typing import Any

from PIL import Image

from agent.sensors.ports import Area, SensorError, Shown
from agent.sensors.values import Control

ROLES = {"AXTextField": "entry", "AXTextArea": "text", "AXComboBox": "entry", "AXSearchField": "entry"}
SECURE = "AXSecureTextField"
NOTIFICATIONS = ("AXFocusedUIElementChanged", "AXFocusedWindowChanged", "AXValueChanged", "AXUIElementDestroyed")
SECONDS_A_CALL = 0.5


class AxControls:
    """The Accessibility API as `agent.sensors.values.Controls`."""

    def __init__(self) -> None:
        """Raises SensorError where this isn't macOS or pyobjc is missing."""
        if platform.system() != "Darwin":
            raise SensorError("the Accessibility API is there on macOS only")
        try:
            import AppKit  # type: ignore[import-not-found,unused-ignore]
            import ApplicationServices  # type: ignore[import-not-found,unused-ignore]
            import Quartz  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise SensorError("pyobjc is missing") from error
        self._ax, self._app_kit, self._quartz = ApplicationServices, AppKit, Quartz
        self._element: Any = None
        self._name = ""
        self._observer: Any = None
        self._stopping = False

    def start(
        self,
        focused: Callable[[Control | None], None],
        changed: Callable[[str], None],
        away: Callable[[bool], None],
        closed: Callable[[str], None],
    ) -> None:
        """Start the thread with the run loop that the API calls back in."""
        self._focused, self._changed, self._away, self._closed = focused, changed, away, closed
        self._thread = threading.Thread(target=self._run, name="ax", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the run loop."""
        self._stopping = True
        self._quartz.CFRunLoopStop(self._loop)
        self._thread.join(timeout=5)

    def missing(self) -> tuple[str, ...]:
        """ "accessibility": no text is seen; "screen-recording": no picture can be taken."""
        missing = [] if self._ax.AXIsProcessTrusted() else ["accessibility"]
        if not self._quartz.CGPreflightScreenCaptureAccess():
            missing.append("screen-recording")
        return tuple(missing)

    def text_of(self, control: str) -> str | None:
        """The value of the element with the focus."""
        if control != self._name or self._attribute(self._element, "AXSubrole") == SECURE:
            return None
        value = self._attribute(self._element, "AXValue")
        return value if isinstance(value, str) else None

    # -- the run loop's thread

    def _run(self) -> None:
        self._loop = self._quartz.CFRunLoopGetCurrent()
        workspace = self._app_kit.NSWorkspace.sharedWorkspace()
        centre = workspace.notificationCenter()
        for name, action in (
            (self._app_kit.NSWorkspaceDidActivateApplicationNotification, self._on_front),
            (self._app_kit.NSWorkspaceSessionDidResignActiveNotification, lambda _: self._away(True)),
            (self._app_kit.NSWorkspaceSessionDidBecomeActiveNotification, lambda _: self._away(False)),
        ):
            centre.addObserverForName_object_queue_usingBlock_(name, None, None, action)
        distributed = self._app_kit.NSDistributedNotificationCenter.defaultCenter()
        for name, is_locked in (("com.apple.screenIsLocked", True), ("com.apple.screenIsUnlocked", False)):
            distributed.addObserverForName_object_queue_usingBlock_(
                name, None, None, lambda _, is_locked=is_locked: self._away(is_locked)
            )
        self._watch(workspace.frontmostApplication())
        while not self._stopping:
            self._quartz.CFRunLoopRunInMode(self._quartz.kCFRunLoopDefaultMode, 60.0, False)

    def _on_front(self, notification: Any) -> None:
        self._watch(notification.userInfo()["NSWorkspaceApplicationKey"])

    def _watch(self, application: Any) -> None:
        """Follow the program in front."""
        self._element, self._name = None, ""
        if application is None or not self._ax.AXIsProcessTrusted():
            self._focused(None)
            return
        self._application = str(application.localizedName() or "")
        element = self._ax.AXUIElementCreateApplication(application.processIdentifier())
        self._ax.AXUIElementSetMessagingTimeout(element, SECONDS_A_CALL)
        error, self._observer = self._ax.AXObserverCreate(application.processIdentifier(), self._on_event, None)
        if error:
            self._focused(None)
            return
        for name in NOTIFICATIONS:
            self._ax.AXObserverAddNotification(self._observer, element, name, None)
        source = self._ax.AXObserverGetRunLoopSource(self._observer)
        self._quartz.CFRunLoopAddSource(self._loop, source, self._quartz.kCFRunLoopDefaultMode)
        self._look_at_focus(element)

    def _on_event(self, _observer: Any, element: Any, name: str, _data: Any) -> None:
        if name == "AXValueChanged":
            if self._name and element == self._element:
                self._changed(self._name)
        elif name == "AXUIElementDestroyed":
            self._closed(str(hash(element)))
        else:
            self._look_at_focus(element)

    def _look_at_focus(self, element: Any) -> None:
        focused = self._attribute(element, "AXFocusedUIElement") or element
        window = self._attribute(focused, "AXWindow")
        self._element, self._name = focused, str(hash(focused))
        subrole = self._attribute(focused, "AXSubrole")
        # a field in which macOS guards the keys is secret, whatever it calls itself
        secure = subrole == SECURE or bool(self._quartz.CGSIsSecureEventInputSet())
        words = [
            self._attribute(focused, name) for name in ("AXTitle", "AXDescription", "AXHelp", "AXPlaceholderValue")
        ]
        self._focused(
            Control(
                application=self._application,
                window=str(hash(window)),
                window_title=str(self._attribute(window, "AXTitle") or ""),
                control=self._name,
                role=ROLES.get(str(self._attribute(focused, "AXRole")), ""),
                password=secure,
                words=" ".join(str(word) for word in words if word),
            )
        )

    def _attribute(self, element: Any, name: str) -> Any:
        if element is None:
            return None
        error, value = self._ax.AXUIElementCopyAttributeValue(element, name, None)
        return None if error else value


class MacScreen:
    """All displays in one picture. Belongs to the thread that asks."""

    def __init__(self, controls: AxControls) -> None:
        self._controls = controls

    def grab(self) -> Image.Image | None:
        """The displays; None without the permission to record the screen."""
        quartz = self._controls._quartz
        if "screen-recording" in self._controls.missing():
            return None
        picture = quartz.CGWindowListCreateImage(
            quartz.CGRectInfinite, quartz.kCGWindowListOptionOnScreenOnly, quartz.kCGNullWindowID, 0
        )
        width, height = quartz.CGImageGetWidth(picture), quartz.CGImageGetHeight(picture)
        data = bytes(quartz.CGDataProviderCopyData(quartz.CGImageGetDataProvider(picture)))
        row = quartz.CGImageGetBytesPerRow(picture)
        return Image.frombytes("RGB", (width, height), data, "raw", "BGRX", row)

    def protected_areas(self) -> tuple[Area, ...] | None:
        """Where secure fields stand can be told only by walking through every program, and none has been measured on
        a Mac: until it has, no picture is kept.
        """
        return None

    def shown(self) -> tuple[Shown, ...]:
        """Not asked while no picture is kept."""
        return ()

    def part_to_keep(self) -> Area | None:
        """All of it."""
        return None
