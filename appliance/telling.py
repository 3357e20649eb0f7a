"""Joining notices to the mail server, for the worker: who was told of a broken glass or a colleague's report."""

import secrets
from collections.abc import Callable
from datetime import datetime

from sqlite_utils import Database

from appliance.config import Config
from appliance.notify.email import MailServer
from appliance.notify.notice import NoticeMail, send_notice_email
from appliance.store.notices import StoredNotice
from appliance.workflow.tell import pass_on_notices, send_notices


def tell_noticed(config: Config, db: Database, now: datetime, say: Callable[[str], None]) -> None:
    """Send the notices that are due, to others where a person may see theirs no more. Call it under the index lock: two
    at once would tell a person twice."""
    pass_on_notices(db, now, lambda: secrets.token_urlsafe(15))
    server = MailServer(config.smtp_host, config.smtp_port, config.smtp_from, config.host_name)

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
