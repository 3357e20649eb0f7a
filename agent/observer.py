"""From text that was typed to an event on disk: read it or leave it alone, match, capture, seal, keep."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from agent.capture import Capture, CaptureError, take_capture
from agent.context import RollingContext
from agent.matcher import Matcher
from agent.message import Report, SealedEvent, build_event_message, make_message_id
from agent.outbox import Outbox, OutboxFullError
from agent.policy import Policy
from agent.sensors.ports import Screen, TextEvent


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
        outbox: Outbox,
        *,
        random_bytes: Callable[[int], bytes],
        wake: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._device = device
        self._policy = policy
        self._matcher = Matcher(policy)
        self._context = RollingContext(policy.context_minutes)
        self._outbox = outbox
        self._random_bytes = random_bytes
        self._wake = wake
        self._say = say

    def observe(self, event: TextEvent, screen: Screen) -> int | None:
        """The sequence number of the event this text made, None where no rule fired or the text isn't to be read.

        Protected controls, controls that may be protected, and what the policy excludes are neither matched nor
        remembered. Where several rules fire, the policy's first is reported: a person reads the text once.
        """
        if event.protected is not False or self._policy.excludes(event.application, event.address):
            return None
        for line in event.earlier:
            self._context.add(event.account, event.application, line, event.at)
        context = self._context.before(event.account, event.application, event.at)
        self._context.add(event.account, event.application, event.text, event.at)
        hits = self._matcher.find(event.text)
        if not hits:
            return None
        hit = hits[0]
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
        return self._keep(report, self._capture(screen), event.at)

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
