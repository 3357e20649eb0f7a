"""Windows: UI Automation in the session of the person signed in. It holds no key and no queue: see docs/devices.md.

Not run on Windows by the project yet; the shape is held by the contract tests with a stand-in for UI Automation.
Everything of UI Automation happens in one thread with COM set up (a hanging program blocks that thread, and no more).
"""

import ctypes
import platform
import queue
import threading
from collections.abc import Callable
from typing import Any

from PIL import Image, ImageGrab

from agent.sensors.ports import Area, SensorError, Shown
from agent.sensors.values import Control

# ids of UIAutomationClient.h
CONTROL_TYPES = {50004: "entry", 50030: "document text"}
TEXT_CHANGED_EVENT = 20015
WINDOW_CLOSED_EVENT = 20017
VALUE_PROPERTY = 30045
IS_PASSWORD_PROPERTY = 30019
VALUE_PATTERN, TEXT_PATTERN = 10002, 10014
SUBTREE, ELEMENT = 4, 1
CLIENT = "{FF48DBA4-60EF-4201-AA87-54103EEF594E}"
TYPE_LIBRARY = "UIAutomationCore.dll"
ES_PASSWORD, GWL_STYLE = 0x20, -16
DESKTOP_SWITCH_SECONDS = 1.0
TEXT_AT_MOST = 200_001


class UiaControls:
    """UI Automation as `agent.sensors.values.Controls`."""

    def __init__(self) -> None:
        """Raises SensorError where this isn't Windows or comtypes is missing."""
        if platform.system() != "Windows":
            raise SensorError("UI Automation is there on Windows only")
        try:
            import comtypes.client  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise SensorError("the package comtypes is missing") from error
        self._comtypes = comtypes
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._elements: dict[str, Any] = {}
        self._missing: tuple[str, ...] = ()
        self._watched: Any = None
        self._locked = False

    def start(
        self,
        focused: Callable[[Control | None], None],
        changed: Callable[[str], None],
        away: Callable[[bool], None],
        closed: Callable[[str], None],
    ) -> None:
        """Start the thread that owns UI Automation."""
        self._focused, self._changed, self._away, self._closed = focused, changed, away, closed
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="uia", daemon=True)
        self._thread.start()
        if not ready.wait(10) or self._missing:
            raise SensorError("UI Automation doesn't start")

    def stop(self) -> None:
        """End the thread; one that hangs in a program ends with this process."""
        self._work.put(None)
        self._thread.join(timeout=5)

    def missing(self) -> tuple[str, ...]:
        """ "accessibility" where UI Automation can't be used."""
        return self._missing

    def text_of(self, control: str) -> str | None:
        """The text of an element; called in UI Automation's thread, by what it calls back."""
        element = self._elements.get(control)
        if element is None or self._is_password(element):
            return None
        try:
            pattern = element.GetCurrentPattern(TEXT_PATTERN)
            if pattern:
                text = pattern.QueryInterface(self._uia.IUIAutomationTextPattern)
                return str(text.DocumentRange.GetText(TEXT_AT_MOST))
            pattern = element.GetCurrentPattern(VALUE_PATTERN)
            return str(pattern.QueryInterface(self._uia.IUIAutomationValuePattern).CurrentValue) if pattern else None
        except self._comtypes.COMError:
            return None

    # -- UI Automation's own thread

    def _run(self, ready: threading.Event) -> None:
        self._comtypes.CoInitializeEx(0)  # apartments of many threads: handlers come from COM's own
        try:
            self._uia = self._comtypes.client.GetModule(TYPE_LIBRARY)
            self._client = self._comtypes.client.CreateObject(CLIENT, interface=self._uia.IUIAutomation)
            self._handlers = _make_handlers(self._comtypes, self._uia, self._work.put, self)
            self._client.AddFocusChangedEventHandler(None, self._handlers)
        except (OSError, self._comtypes.COMError):
            self._missing = ("accessibility",)
            ready.set()
            return
        ready.set()
        while True:
            try:
                work = self._work.get(timeout=DESKTOP_SWITCH_SECONDS)
            except queue.Empty:
                self._look_at_desktop()
                continue
            if work is None:
                break
            try:
                work()
            except self._comtypes.COMError:
                self._focused(None)  # the element is gone: nothing is known
        self._client.RemoveAllEventHandlers()
        self._comtypes.CoUninitialize()

    def _look_at_desktop(self) -> None:
        """The secure desktop (lock screen, consent) is another one, which this process can't open."""
        user32 = ctypes.windll.user32  # type: ignore[attr-defined,unused-ignore]
        desktop = user32.OpenInputDesktop(0, False, 0x0100)
        if desktop:
            user32.CloseDesktop(desktop)
        if bool(desktop) is self._locked:
            self._locked = not desktop
            self._away(self._locked)

    def on_focus(self, element: Any) -> None:
        """The focus is on ``element``."""
        name = ".".join(map(str, element.GetRuntimeId()))
        self._elements = {name: element}
        window, title = self._window_of(element)
        self._focused(
            Control(
                application=_program(element.CurrentProcessId),
                window=window,
                window_title=title,
                control=name,
                role=CONTROL_TYPES.get(element.CurrentControlType, ""),
                password=self._is_password(element),
                words=f"{element.CurrentName} {element.CurrentHelpText} {element.CurrentAutomationId}",
            )
        )
        self._watch(element)

    def on_change(self, element: Any) -> None:
        """The text of ``element`` has changed."""
        self._changed(".".join(map(str, element.GetRuntimeId())))

    def _watch(self, element: Any) -> None:
        if self._watched is not None:
            self._client.RemoveAutomationEventHandler(TEXT_CHANGED_EVENT, self._watched, self._handlers)
            self._client.RemovePropertyChangedEventHandler(self._watched, self._handlers)
        self._watched = element
        self._client.AddAutomationEventHandler(TEXT_CHANGED_EVENT, element, ELEMENT, None, self._handlers)
        self._client.AddPropertyChangedEventHandler(
            element, ELEMENT, None, self._handlers, [VALUE_PROPERTY, IS_PASSWORD_PROPERTY]
        )

    def _is_password(self, element: Any) -> bool:
        """UI Automation's word, and the style of old controls."""
        if element.CurrentIsPassword:
            return True
        handle = element.CurrentNativeWindowHandle
        user32 = ctypes.windll.user32  # type: ignore[attr-defined,unused-ignore]
        return bool(handle and user32.GetWindowLongW(handle, GWL_STYLE) & ES_PASSWORD and _is_edit(handle))

    def _window_of(self, element: Any) -> tuple[str, str]:
        walker = self._client.ControlViewWalker
        root = self._client.GetRootElement()
        top = element
        for _ in range(50):
            parent = walker.GetParentElement(top)
            if not parent or self._client.CompareElements(parent, root):
                break
            top = parent
        return ".".join(map(str, top.GetRuntimeId())), str(top.CurrentName or "")


class WindowsScreen:
    """All monitors in one picture, and where password fields stand. Belongs to the thread that asks."""

    def __init__(self, controls: UiaControls) -> None:
        self._controls = controls

    def grab(self) -> Image.Image | None:
        """The virtual screen."""
        return ImageGrab.grab(all_screens=True)

    def protected_areas(self) -> tuple[Area, ...] | None:
        """Every element on the screen that says it is a password; None where UI Automation doesn't answer."""
        answer: queue.Queue[tuple[Area, ...] | None] = queue.Queue()
        self._controls._work.put(lambda: answer.put(self._find()))
        try:
            return answer.get(timeout=3)
        except queue.Empty:
            return None

    def shown(self) -> tuple[Shown, ...]:
        """The top-level windows."""
        found: list[Shown] = []
        left, top = _virtual_origin()
        for element in _children(self._controls):
            box = element.CurrentBoundingRectangle
            area = Area(box.left - left, box.top - top, box.right - box.left, box.bottom - box.top)
            found.append(Shown(_program(element.CurrentProcessId), str(element.CurrentName or ""), area))
        return tuple(found)

    def part_to_keep(self) -> Area | None:
        """All of it: what is too large is made to fit when it is encoded."""
        return None

    def _find(self) -> tuple[Area, ...] | None:
        client = self._controls._client
        condition = client.CreatePropertyCondition(IS_PASSWORD_PROPERTY, True)
        found = client.GetRootElement().FindAll(SUBTREE, condition)
        left, top = _virtual_origin()
        boxes = [found.GetElement(index).CurrentBoundingRectangle for index in range(found.Length)]
        return tuple(Area(b.left - left, b.top - top, b.right - b.left, b.bottom - b.top) for b in boxes)


def _make_handlers(comtypes: Any, uia: Any, post: Callable[[Callable[[], None]], None], owner: UiaControls) -> Any:
    """One COM object for the three kinds of events. It only posts: UI Automation mustn't be called from a handler."""

    class Handlers(comtypes.COMObject):  # type: ignore[misc,name-defined,unused-ignore]
        _com_interfaces_ = [  # noqa: RUF012
            uia.IUIAutomationFocusChangedEventHandler,
            uia.IUIAutomationEventHandler,
            uia.IUIAutomationPropertyChangedEventHandler,
        ]

        def HandleFocusChangedEvent(self, sender: Any) -> None:
            post(lambda: owner.on_focus(sender))

        def HandleAutomationEvent(self, sender: Any, _event: int) -> None:
            post(lambda: owner.on_change(sender))

        def HandlePropertyChangedEvent(self, sender: Any, property_id: int, _value: Any) -> None:
            # a field that shows its password has turned into another kind of field
            post(lambda: owner.on_focus(sender) if property_id == IS_PASSWORD_PROPERTY else owner.on_change(sender))

    return Handlers()


def _children(controls: UiaControls) -> list[Any]:
    found = controls._client.GetRootElement().FindAll(2, controls._client.CreateTrueCondition())
    return [found.GetElement(index) for index in range(found.Length)]


def _program(pid: int) -> str:
    """The name of a program's file, without its folder and ending."""
    kernel32 = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel32.OpenProcess(0x1000, False, pid)
    if not handle:
        return ""
    try:
        buffer, size = ctypes.create_unicode_buffer(1024), ctypes.c_uint32(1024)
        known = kernel32.QueryFullProcessImageNameW(handle, 0, buffer, ctypes.byref(size))
        return buffer.value.rpartition("\\")[2].removesuffix(".exe") if known else ""
    finally:
        kernel32.CloseHandle(handle)


def _is_edit(handle: int) -> bool:
    buffer = ctypes.create_unicode_buffer(256)
    ctypes.windll.user32.GetClassNameW(handle, buffer, 256)  # type: ignore[attr-defined,unused-ignore]
    return "edit" in buffer.value.casefold()


def _virtual_origin() -> tuple[int, int]:
    metrics = ctypes.windll.user32.GetSystemMetrics  # type: ignore[attr-defined,unused-ignore]
    return int(metrics(76)), int(metrics(77))
