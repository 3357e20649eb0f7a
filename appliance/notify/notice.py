"""E-mail to a person who is told of something other than an event. It names a colleague and an academy, no pupil."""

import smtplib
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from appliance.notify.email import TIMEOUT_S, MailServer, NotSentError
from appliance.safeguarding.notice import NoticeKind


@dataclass(frozen=True, slots=True)
class NoticeMail:
    """What one person is told. by_name: the colleague whose doing it is. id stays the same when it is sent again.

    about_name: whose account it is about, where it is about one.
    """

    id: str
    kind: NoticeKind
    staff_name: str
    staff_email: str
    academy_name: str
    by_name: str
    about_name: str = ""


_SUBJECTS = {
    NoticeKind.GLASS_BROKEN: "A locked record at {academy} was opened",
    NoticeKind.REPORT_RECEIVED: "A colleague at {academy} reported a concern",
    NoticeKind.ROLE_GIVEN: "A role in Trustkeep was given to {about}",
    NoticeKind.LINK_MADE: "A new sign-in link was made for {about}",
    NoticeKind.SWITCHED_OFF: "The Trustkeep account of {about} was switched off",
    NoticeKind.SWITCHED_ON: "The Trustkeep account of {about} was switched on again",
}
_IF_NOT = (
    "You are told because nobody should be able to do this alone and unseen.\n"
    "If you did not expect it, ring {by} now, and then another safeguarding lead of your trust."
)
_TEXTS = {
    NoticeKind.GLASS_BROKEN: (
        "{by} has opened a locked record at {academy}, without being named on its lock, and gave a reason.\n\n"
        "You are told at once because you locked it, or because you answer for it. The reason is on the audit trail.\n"
        "If you did not expect this, ring {by} now."
    ),
    NoticeKind.REPORT_RECEIVED: (
        "{by} has reported a concern about a child at {academy}.\n\n"
        "Please read it today. {by} sees when you have.\n"
        "If a child is in immediate danger, ring 999 first; everything else can follow."
    ),
    NoticeKind.ROLE_GIVEN: (
        "{by} has given {about} a role that opens records, or that gives such roles, at {academy} or its trust.\n\n"
        + _IF_NOT
    ),
    NoticeKind.LINK_MADE: (
        "{by} has made a new sign-in link for the account of {about}. Whoever uses it sets that account's password and"
        " second factor anew; those it has now then stop working.\n\n" + _IF_NOT
    ),
    NoticeKind.SWITCHED_OFF: "{by} has switched off the account of {about}: it can't sign in any more.\n\n" + _IF_NOT,
    NoticeKind.SWITCHED_ON: "{by} has switched on again the account of {about}.\n\n" + _IF_NOT,
}


def build_notice_email(server: MailServer, notice: NoticeMail, link: str, now: datetime) -> EmailMessage:
    """The message. Raises ValueError for an address that can't stand in a header."""
    academy, by, name, about = (
        " ".join(text.split()) for text in (notice.academy_name, notice.by_name, notice.staff_name, notice.about_name)
    )
    message = EmailMessage()
    message["From"] = Address("Trustkeep", addr_spec=server.sender)
    message["To"] = Address(name, addr_spec=notice.staff_email.strip())
    message["Subject"] = _SUBJECTS[notice.kind].format(academy=academy, about=about)
    message["Date"] = format_datetime(now)
    # the same at every try, so that a mailbox that got it twice shows it once
    message["Message-ID"] = f"<notice.{notice.id}@{server.host_name}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    text = _TEXTS[notice.kind].format(academy=academy, by=by, about=about)
    message.set_content(
        f"Dear {name},\n\n{text}\n\n    Open it:  {link}\n\n"
        "For their safety this message names no child and quotes nothing.\n\n"
        f"Trustkeep, for {academy}\n"
    )
    return message


def send_notice_email(server: MailServer, notice: NoticeMail, link: str, now: datetime) -> None:
    """Hand the message to the mail server, within TIMEOUT_S a step. Raises nothing but OSError when that fails."""
    try:
        message = build_notice_email(server, notice, link, now)
        with smtplib.SMTP(server.host, server.port, server.host_name, TIMEOUT_S) as client:
            client.ehlo_or_helo_if_needed()
            if client.has_extn("starttls"):
                # against listeners only, as for escalations
                client.starttls()
            client.send_message(message)
    except OSError:
        raise
    except Exception as error:
        raise NotSentError(f"no message can be made for this address ({type(error).__name__})") from error
