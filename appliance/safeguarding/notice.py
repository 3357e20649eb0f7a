"""What a named person is told of beside events: that the glass was broken, or that a colleague reported a concern."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NoticeKind(StrEnum):
    """What a notice tells of."""

    GLASS_BROKEN = "record:break_glass"
    REPORT_RECEIVED = "report:received"
    ROLE_GIVEN = "account:role"
    LINK_MADE = "account:link"
    SWITCHED_OFF = "account:off"
    SWITCHED_ON = "account:on"


NOTICES: dict[NoticeKind, str] = {
    NoticeKind.GLASS_BROKEN: "opened a locked record, with a reason",
    NoticeKind.REPORT_RECEIVED: "reported a concern",
    NoticeKind.ROLE_GIVEN: "gave a role that opens records, or gives such roles, to",
    NoticeKind.LINK_MADE: "made a new sign-in link for the account of",
    NoticeKind.SWITCHED_OFF: "switched off the account of",
    NoticeKind.SWITCHED_ON: "switched on again the account of",
}
"""What the person named in a notice did; where it is about an account, whose it is follows. No word of it is about a
pupil."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One person told of one thing. subject: ``thing:id``. by_id: the member of staff who did it."""

    academy_id: str
    staff_id: str
    kind: NoticeKind
    subject: str
    by_id: str
    raised_at: datetime
