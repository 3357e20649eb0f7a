"""What a device's last word makes of it: connected, silent, or not as it should be, and why, for a technician."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

SILENT_AFTER = timedelta(minutes=15)
"""Devices speak up every minute; after this long without a word one counts as silent."""
SETTLED_AFTER = timedelta(minutes=5)
"""How long an event may be on its way before the box counts it as missing."""
ASKED_AGAIN_AFTER = timedelta(hours=1)
"""How often the box asks by itself for what is missing."""
HELD_FOR = timedelta(hours=24)
"""How long devices hold what the box has receipted: after that asking again brings nothing."""
SKEW_AT_MOST = timedelta(minutes=2)
WAITING_AT_MOST = timedelta(hours=1)
CERTIFICATE_SOON = timedelta(days=30)


class DeviceState(StrEnum):
    """How a device stands, the one that needs a person first."""

    DEGRADED = "degraded"
    SILENT = "silent"
    NEVER = "never"
    CONNECTED = "connected"
    REVOKED = "revoked"


PERMISSION_WORDS = {
    "accessibility": "may not read text (accessibility)",
    "input-monitoring": "may not see the keyboard (input monitoring)",
    "screen-recording": "may not take screenshots (screen recording)",
    "screenshot": "may not take screenshots",
    "keyboard": "may not see the keyboard",
    "screen-lock": "does not notice when its screen is locked",
    "login-manager": "does not notice when another person's session is in front",
    "site-access": "the extension may not read sites",
}
"""What a device may lack, by the short names in heartbeats. One not known here is shown as it came."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a device says of itself. Times are aware datetimes in UTC, sizes in bytes.

    What agents before policies were signed don't say is None; permissions_missing is empty then. held_back: events
    that were not sent because too many of a kind came at once.
    """

    device_id: str
    queue_epoch: str
    highest_sequence: int
    lowest_unreceipted: int | None
    queue_depth: int
    queue_bytes: int
    oldest_at: datetime | None
    dead_letters: int
    agent_version: str
    policy_version: str
    sent_at: datetime
    policy_number: int | None = None
    platform: str | None = None
    permissions_missing: tuple[str, ...] = ()
    monitored_now: bool | None = None
    notice_accepted: datetime | None = None
    images_dropped: int | None = None
    disk_full: bool | None = None
    policy_expired: bool | None = None
    held_back: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What the box knows of a device beside its last heartbeat. missing: events that never came."""

    enrolled_at: datetime
    revoked_at: datetime | None
    last_seen_at: datetime | None
    heartbeat: Heartbeat | None
    heard_at: datetime | None
    missing: int
    policy_number: int | None
    certificate_ends_at: datetime | None


def clock_skew(beat: Heartbeat, heard_at: datetime) -> timedelta:
    """How far the device's clock was ahead of the box's (behind: negative)."""
    return beat.sent_at - heard_at


def faults(one: Standing, now: datetime) -> tuple[str, ...]:
    """What is wrong with a device, each in words that begin small; empty where nothing is."""
    found = []
    if one.missing:
        found.append(f"events missing: {one.missing}")
    if one.certificate_ends_at is not None and one.certificate_ends_at - now < CERTIFICATE_SOON:
        ended = one.certificate_ends_at <= now
        found.append("its certificate has ended" if ended else "its certificate ends soon and was not renewed")
    beat = one.heartbeat
    if beat is None or one.heard_at is None:
        return tuple(found)
    found += [PERMISSION_WORDS.get(name, f"lacks {name}") for name in beat.permissions_missing]
    if beat.disk_full:
        found.append("its disk is full")
    if beat.images_dropped:
        found.append(f"screenshots dropped for want of room: {beat.images_dropped}")
    if beat.dead_letters:
        found.append(f"messages the box refused: {beat.dead_letters}")
    if beat.oldest_at is not None and one.heard_at - beat.oldest_at > WAITING_AT_MOST and beat.queue_depth:
        found.append("events wait to be sent for over an hour")
    if abs(skew := clock_skew(beat, one.heard_at)) > SKEW_AT_MOST:
        found.append(f"its clock is {_span(skew)} {'ahead' if skew > timedelta(0) else 'behind'}")
    if beat.policy_expired:
        found.append("works by a policy that has ended")
    behind = one.policy_number is not None and (beat.policy_number or 0) < one.policy_number
    if behind:
        found.append(f"works by policy {beat.policy_number or 'without a number'}, and {one.policy_number} is in force")
    return tuple(found)


def state_of(one: Standing, now: datetime) -> DeviceState:
    """How a device stands now."""
    if one.revoked_at is not None:
        return DeviceState.REVOKED
    if one.last_seen_at is None:
        return DeviceState.NEVER
    if now - one.last_seen_at > SILENT_AFTER:
        return DeviceState.SILENT
    return DeviceState.DEGRADED if faults(one, now) else DeviceState.CONNECTED


def _span(length: timedelta) -> str:
    minutes = int(abs(length.total_seconds()) // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
