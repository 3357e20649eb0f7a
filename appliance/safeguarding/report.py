"""A concern as a member of staff reports it: what the DSL must be told, and what the reporter may know afterwards."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.safeguarding.concern import RecordError


class ReportState(StrEnum):
    """How far a report has come. Whoever reported it sees this, and nothing of what was made of it."""

    RECEIVED = "received"
    READ = "read"
    IN_HAND = "in_hand"


@dataclass(frozen=True, slots=True)
class NewReport:
    """What a member of staff writes. about: the child's name and class, in the reporter's own words."""

    id: str
    academy_id: str
    about: str
    text: str


def state_of(is_read: bool, has_concern: bool) -> ReportState:
    """The state of a report."""
    if has_concern:
        return ReportState.IN_HAND
    return ReportState.READ if is_read else ReportState.RECEIVED


def check_report(report: NewReport) -> None:
    """Raise RecordError when the report doesn't say about whom, or what."""
    if not report.about.strip():
        raise RecordError("Say who it is about: the child's name, and the class if you know it.")
    if not report.text.strip():
        raise RecordError("Write what you saw or heard.")
