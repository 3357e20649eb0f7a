"""From text that was typed to an event on disk: read it or leave it alone, match, capture, seal, keep."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from PIL import Image

from agent.capture import Capture, CaptureError, take_capture
from agent.context import RollingContext
from agent.limiter import RateLimiter
from agent.matcher import Hit, Matcher
from agent.message import Report, SealedEvent, build_event_message, make_message_id
from agent.outbox import Outbox, OutboxFullError
from agent.policy import Policy
from agent.sensors.ports import Screen, TextEvent

HELP_RULE = "pupil-help"
"""The rule id of a report that a pupil makes for themselves."""


@dataclass(frozen=True, slots=True)
class Device:
    """Which device this is, and the key of the box that alone can open what it sends."""

    device_id: str
    box_key: X25519PublicKey


class Observer:
    """Runs one policy over text events. random_bytes(n): the source of message ids. wake: tells the publisher."""

    def __init__(
        self,
        device: Device,
        policy: Policy,
        outbox: Outbox | None,
        *,
        random_bytes: Callable[[int], bytes],
        wake: Callable[[], None],
        say: Callable[[str], None],
        keep: Callable[[Report, Capture | None, datetime], int | None] | None = None,
    ) -> None:
        """keep: what is done with a report instead of the outbox; a session's process hands it to its service."""
        self._kept = keep or self._keep
        self._device = device
        self._policy = policy
        self._matcher = Matcher(policy)
        self._context = RollingContext(policy.context_minutes)
        self._limiter = RateLimiter()
        self._outbox = outbox
        self._random_bytes = random_bytes
        self._wake = wake
        self._say = say

    @property
    def held_back(self) -> int:
        """Events not made because the same was told a moment ago, or too much was."""
        return self._limiter.held_back

    def adopt(self, policy: Policy) -> None:
        """Go on with another policy; what was typed before stays known for as long as the new one says."""
        self._policy = policy
        self._matcher = Matcher(policy)
        self._context.set_minutes(policy.context_minutes)

    def observe(self, event: TextEvent, screen: Screen) -> int | None:
        """The sequence number of the event this text made, None where no rule fired or the text isn't to be read.

        Protected controls, controls that may be protected, and what the policy excludes are neither matched nor
        remembered. Where several rules fire, the policy's first is reported: a person reads the text once.
        """
        if not self._may_read(event):
            return None
        for line in event.earlier:
            self._context.add(event.account, event.application, line, event.at)
        context = self._context.before(event.account, event.application, event.at)
        self._context.add(event.account, event.application, event.text, event.at)
        hits = self._matcher.find(event.text)
        if not hits:
            return None
        hit = hits[0]
        if not self._limiter.allows(event.account, hit.rule.id, event.text, event.at):
            where = plain_name(event.application)
            self._say(f"rule {hit.rule.id} fired in {where}; held back ({self._limiter.held_back} so far)")
            return None
        report = Report(
            occurred_at=event.at,
            account=event.account,
            rule_id=hit.rule.id,
            trigger=event.text[hit.start : hit.end],
            application=event.application,
            window_title=event.window_title,
            address=event.address,
            typed=event.text,
            context=context,
        )
        return self._kept(report, self._capture(screen) if self._policy.screenshot else None, event.at)

    @property
    def reach(self) -> int:
        """How many characters beside a change must be looked at with it."""
        return self._matcher.reach

    def find(self, event: TextEvent, begin: int, end: int) -> list[Hit]:
        """What fires in ``event.text[begin:end]``; nothing where the text isn't to be read. Places are of the whole."""
        if not self._may_read(event):
            return []
        hits = self._matcher.find(event.text[begin:end])
        return [Hit(hit.rule, hit.phrase, hit.start + begin, hit.end + begin) for hit in hits]

    def remember(self, event: TextEvent) -> None:
        """Keep the text as context for what may be written next; nothing where it isn't to be read."""
        if self._may_read(event):
            self._context.add(event.account, event.application, event.text, event.at)

    def grab(self, screen: Screen) -> Image.Image | bytes | None:
        """The screen as it is now, kept in memory until a find is told; None where there is none, or none is wanted."""
        if not self._policy.screenshot:
            return None
        try:
            return screen.grab()
        except Exception as error:  # the platforms raise many kinds; none may cost the words
            self._say(f"no image: the screen couldn't be taken ({type(error).__name__})")
            return None

    def report_help(
        self, *, account: str, words: str, application: str, screen: Screen | None, at: datetime
    ) -> int | None:
        """The pupil's own report. No limit holds it back, and it takes only what the pupil gave."""
        report = Report(at, account, HELP_RULE, "", application, "", "", words)
        return self._kept(report, None if screen is None else self._capture(screen), at)

    def _may_read(self, event: TextEvent) -> bool:
        return event.protected is False and not self._policy.excludes(event.application, event.address)

    def _capture(self, screen: Screen) -> Capture | None:
        try:
            return take_capture(screen)
        except CaptureError as error:
            self._say(f"no image: {error}")
            return None

    def _keep(self, report: Report, capture: Capture | None, now: datetime) -> int | None:
        message_id = make_message_id(now, self._random_bytes(10))

        def build(sequence: int, queue_epoch: str) -> SealedEvent:
            return build_event_message(
                report,
                capture,
                message_id=message_id,
                device_id=self._device.device_id,
                sequence=sequence,
                queue_epoch=queue_epoch,
                box_key=self._device.box_key,
            )

        assert self._outbox is not None, "without an outbox something else keeps the reports"
        where = plain_name(report.application)
        try:
            sequence = self._outbox.put(build, now.timestamp())
        except OutboxFullError as error:
            self._say(f"rule {report.rule_id} fired in {where}; LOST: {error}")
            return None
        self._say(f"rule {report.rule_id} fired in {where}; event {sequence} queued")
        self._wake()
        return sequence


def plain_name(application: str) -> str:
    """An application's name as it may stand in a line of the log: short, and one line."""
    return "".join(character if character.isprintable() else " " for character in application)[:40] or "an application"
