"""Joining escalations and notices to the mail server, for the worker. Call both under the index lock: two at once would
tell a person twice."""

import secrets
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlite_utils import Database

from appliance.config import Config
from appliance.notify.email import EscalationNotice, MailServer, send_escalation_email
from appliance.notify.notice import NoticeMail, send_notice_email
from appliance.store.alerts import StoredEscalation
from appliance.store.notices import StoredNotice
from appliance.workflow.escalate import send_escalations
from appliance.workflow.tell import pass_on_notices, send_notices


def tell_people(config: Config, db: Database, now: datetime, say: Callable[[str], None]) -> None:
    """Send the messages about events that are due."""
    server = _server(config)
    time_zone = ZoneInfo(config.time_zone)
    problems: dict[str, str] = {}

    def send(escalation: StoredEscalation) -> None:
        notice = EscalationNotice(
            escalation.id,
            escalation.event_id,
            escalation.staff_name,
            escalation.staff_email,
            escalation.academy_name,
            escalation.level,
            escalation.due_at,
        )
        link = f"{config.portal_url}/events/{escalation.event_id}"
        try:
            send_escalation_email(server, notice, link, time_zone, now)
        except OSError as error:
            problems[escalation.id] = f"e-mail to {escalation.staff_name} failed ({type(error).__name__})"
            raise

    sent, failed = send_escalations(db, send, now)
    for one in sent:
        say(f"e-mail sent to {one.staff_name} (level {int(one.level)}, {one.academy_name})")
    for one in failed:
        problem = problems.get(one.id, f"{one.staff_name} is no longer told: the right to see it has ended")
        say(f"{problem} (level {int(one.level)}, {one.academy_name})")


def tell_noticed(config: Config, db: Database, now: datetime, say: Callable[[str], None]) -> None:
    """Send the notices that are due, to others where a person may see theirs no more."""
    pass_on_notices(db, now, lambda: secrets.token_urlsafe(15))
    server = _server(config)

    def send(one: StoredNotice) -> None:
        mail = NoticeMail(
            one.id, one.kind, one.staff_name, one.staff_email, one.academy_name, one.by_name, one.about_name
        )
        send_notice_email(server, mail, f"{config.portal_url}/#notices", now)

    sent, failed = send_notices(db, send, now)
    for one in sent:
        say(f"e-mail sent to {one.staff_name} ({one.kind}, {one.academy_name})")
    for one in failed:
        say(f"e-mail to {one.staff_name} failed ({one.kind}, {one.academy_name}); it is tried again")


def _server(config: Config) -> MailServer:
    return MailServer(config.smtp_host, config.smtp_port, config.smtp_from, config.host_name)
