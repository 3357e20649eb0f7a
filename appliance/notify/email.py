"""E-mail to a person who must look at something. It says how serious, where and by when, and nothing of any pupil.

Mail is read on phones in corridors, forwarded and kept by others' servers; what was written stays behind the sign-in.
"""

import smtplib
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from appliance.safeguarding.escalation import TOLD_BEFORE_MODERATION
from appliance.safeguarding.severity import LEVEL_CRITERIA, Severity

TIMEOUT_S = 10.0
REFERENCE_LETTERS = 8


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over, and in whose name. host_name: what this box calls itself to the mail server."""

    host: str
    port: int
    sender: str
    host_name: str


@dataclass(frozen=True, slots=True)
class EscalationNotice:
    """What one person is told about one event. Made of what the box knows of staff and academy; no pupil is in it.

    id: the escalation's, which stays the same when sending is tried again. due_at: aware datetime.
    """

    id: str
    event_id: str
    staff_name: str
    staff_email: str
    academy_name: str
    level: Severity
    due_at: datetime


class NotSentError(OSError):
    """A message that can't be made for this person, such as an address no mail can go to. Says which part is wrong."""


def send_escalation_email(
    server: MailServer, notice: EscalationNotice, link: str, time_zone: ZoneInfo, now: datetime
) -> None:
    """Hand the message to the mail server, within TIMEOUT_S a step. Raises nothing but OSError when that fails.

    link: the event's address in the portal. time_zone: the school's, in which the message names times.
    """
    try:
        message = build_escalation_email(server, notice, link, time_zone, now)
        # without a name given, smtplib asks DNS for one, and on a box without DNS that alone can take half a minute
        with smtplib.SMTP(server.host, server.port, server.host_name, TIMEOUT_S) as client:
            client.ehlo_or_helo_if_needed()
            if client.has_extn("starttls"):
                # against listeners only: relays on a school's network mostly have certificates nobody can check
                client.starttls()
            client.send_message(message)
    except OSError:
        raise
    except Exception as error:
        # one person's odd address must not keep the messages to everyone else waiting behind it
        raise NotSentError(f"no message can be made for this address ({type(error).__name__})") from error


def build_escalation_email(
    server: MailServer, notice: EscalationNotice, link: str, time_zone: ZoneInfo, now: datetime
) -> EmailMessage:
    """The message itself. Raises ValueError, among others, for an address that can't stand in a header."""
    academy, name = _one_line(notice.academy_name), _one_line(notice.staff_name)
    reference = notice.event_id[:REFERENCE_LETTERS]
    local = notice.due_at.astimezone(time_zone)
    due = f"{local:%H:%M} on {local:%A} {local.day} {local:%B}"
    message = EmailMessage()
    message["From"] = Address("Trustkeep", addr_spec=server.sender)
    message["To"] = Address(name, addr_spec=notice.staff_email.strip())
    message["Subject"] = f"Level {int(notice.level)} at {academy}: please look by {local:%H:%M} ({reference})"
    message["Date"] = format_datetime(now)
    # the same at every try, so that a mailbox that got it twice shows it once
    message["Message-ID"] = f"<escalation.{notice.id}@{server.host_name}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    if notice.level >= TOLD_BEFORE_MODERATION:
        message["X-Priority"] = "1"
        message["Importance"] = "high"
    message.set_content(_body(notice, name, academy, reference, due, link))
    return message


def _body(notice: EscalationNotice, name: str, academy: str, reference: str, due: str, link: str) -> str:
    if notice.level >= TOLD_BEFORE_MODERATION:
        why = (
            "You are told straight away because it may not be able to wait. A moderator may not have read it yet,\n"
            "so it can turn out to be less than it looks. Please look before you decide anything."
        )
    else:
        why = "A moderator has read it and asks you to take it from here."
    return f"""Dear {name},

Something at {academy} needs you. It is graded level {int(notice.level)} of 5:

    {LEVEL_CRITERIA[notice.level]}

{why}

    Open it:       {link}
    Please by:     {due}
    Reference:     {reference}

When you have opened it, choose "Acknowledge", so that your colleagues know it is in hand.
If you cannot get to it, please ring your deputy or the trust's safeguarding lead now and give them the reference.
If a child is in immediate danger, ring 999 first; everything else can follow.

For their safety this message names no child and quotes nothing. What was seen is behind your sign-in.

Trustkeep, for {academy}
"""


def _one_line(text: str) -> str:
    return " ".join(text.split())
