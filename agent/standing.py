"""How a device stands beside its outbox: policy, platform, permissions; and the heartbeat made of both."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from agent.message import Heartbeat
from agent.outbox import Figures


@dataclass(frozen=True, slots=True)
class Standing:
    """What a heartbeat says beside the outbox's figures; the fields are those of `agent.message.Heartbeat`."""

    policy_version: str
    policy_number: int | None = None
    policy_expired: bool = False
    platform: str = "replay"
    permissions_missing: tuple[str, ...] = ()
    monitored_now: bool = True
    notice_accepted: datetime | None = None
    held_back: int = 0


def make_heartbeat(
    device_id: str, agent_version: str, figures: Figures, standing: Standing, now: datetime
) -> Heartbeat:
    """The heartbeat at ``now`` (aware, UTC)."""
    return Heartbeat(
        device_id=device_id,
        queue_epoch=figures.queue_epoch,
        highest_sequence=figures.highest_sequence,
        lowest_unreceipted=figures.lowest_unreceipted,
        queue_depth=figures.queue_depth,
        queue_bytes=figures.queue_bytes,
        oldest_at=None if figures.oldest_at is None else datetime.fromtimestamp(figures.oldest_at, UTC),
        dead_letters=figures.dead_letters,
        agent_version=agent_version,
        sent_at=now,
        images_dropped=figures.images_dropped,
        disk_full=figures.disk_full,
        **{field.name: getattr(standing, field.name) for field in fields(standing)},
    )
