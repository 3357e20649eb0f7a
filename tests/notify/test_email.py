"""Telling a person by e-mail, through a real mail server; and that nothing of a pupil goes with it."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from queue import Queue
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import Controller

from appliance.notify.email import EscalationNotice, MailServer, NotSentError, send_escalation_email
from appliance.safeguarding.severity import Severity

_NOW = datetime(2026, 7, 6, 13, 17, 5, tzinfo=UTC)
_LONDON = ZoneInfo("Europe/London")
_LINK = "https://box.northgate.example:8443/events/Ab3dEf6hIj9k"
_NOTICE = EscalationNotice(
    id="esc1",
    event_id="Ab3dEf6hIj9k",
    staff_name="Dana Okoro",
    staff_email="dana@northgate.example",
    academy_name="Northgate",
    level=Severity.IMMEDIATE,
    due_at=datetime(2026, 7, 6, 13, 32, 5, tzinfo=UTC),
)


class Mailbox:
    """Keeps what the mail server was handed; refuses everyone at refused.example."""

    def __init__(self) -> None:
        self.received: Queue[tuple[list[str], EmailMessage]] = Queue()

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:
        if address.endswith("@refused.example"):
            return "550 no such person here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.received.put((envelope.rcpt_tos, message))
        return "250 OK"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[MailServer]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield MailServer("127.0.0.1", port, "trustkeep@northgate.example", "box.northgate.example")
    controller.stop()


def received(mailbox: Mailbox) -> EmailMessage:
    return mailbox.received.get(timeout=30)[1]


def test_it_says_where_how_serious_and_by_when_in_the_schools_time(server: MailServer, mailbox: Mailbox) -> None:
    send_escalation_email(server, _NOTICE, _LINK, _LONDON, _NOW)
    recipients, message = mailbox.received.get(timeout=30)
    assert recipients == ["dana@northgate.example"]
    assert message["To"] == "Dana Okoro <dana@northgate.example>"
    assert message["From"] == "Trustkeep <trustkeep@northgate.example>"
    assert message["Subject"] == "Level 5 at Northgate: please look by 14:32 (Ab3dEf6h)"
    assert message["Date"].datetime == _NOW
    assert message["Message-ID"] == "<escalation.esc1@box.northgate.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Importance"] == "high"
    assert message.get_content_type() == "text/plain"
    body = message.get_content()
    for part in ("Dear Dana Okoro", "Northgate", "level 5", _LINK, "14:32 on Monday 6 July", "Ab3dEf6h", "999"):
        assert part in body
    assert all(len(line) <= 120 for line in body.splitlines())


def test_below_level_5_it_says_that_a_moderator_has_read_it(server: MailServer, mailbox: Mailbox) -> None:
    send_escalation_email(server, replace(_NOTICE, level=Severity.SERIOUS), _LINK, _LONDON, _NOW)
    message = received(mailbox)
    assert "A moderator has read it" in message.get_content()
    assert message["Importance"] is None
    send_escalation_email(server, _NOTICE, _LINK, _LONDON, _NOW)
    assert "A moderator may not have read it yet" in received(mailbox).get_content()


def test_there_is_no_place_for_a_pupil_in_what_the_message_is_made_of() -> None:
    assert {field.name for field in fields(EscalationNotice)} == {
        "id",
        "event_id",
        "staff_name",
        "staff_email",
        "academy_name",
        "level",
        "due_at",
    }


def test_a_name_with_accents_and_line_breaks_stays_one_name(server: MailServer, mailbox: Mailbox) -> None:
    odd = replace(_NOTICE, staff_name="Zoë\r\nBcc: all@elsewhere.example", academy_name="North\ngate, Łódź")
    send_escalation_email(server, odd, _LINK, _LONDON, _NOW)
    recipients, message = mailbox.received.get(timeout=30)
    assert recipients == ["dana@northgate.example"]
    assert message["Bcc"] is None
    assert message["To"].addresses[0].display_name == "Zoë Bcc: all@elsewhere.example"
    assert "North gate, Łódź" in message["Subject"]


def test_sending_again_carries_the_same_message_id(server: MailServer, mailbox: Mailbox) -> None:
    for _ in range(2):
        send_escalation_email(server, _NOTICE, _LINK, _LONDON, _NOW)
    assert received(mailbox)["Message-ID"] == received(mailbox)["Message-ID"]


@pytest.mark.parametrize(
    "address", ["", "nobody", "a b@x", "a@b@c", "x@y.example\r\nBcc: z@elsewhere.example", "@", "\ud800@x.example"]
)
def test_an_address_no_mail_can_go_to_is_an_oserror_and_sends_nothing(
    server: MailServer, mailbox: Mailbox, address: str
) -> None:
    with pytest.raises(OSError):
        send_escalation_email(server, replace(_NOTICE, staff_email=address), _LINK, _LONDON, _NOW)
    assert mailbox.received.empty()


def test_a_refused_recipient_is_an_oserror(server: MailServer, mailbox: Mailbox) -> None:
    with pytest.raises(OSError) as failure:
        send_escalation_email(server, replace(_NOTICE, staff_email="a@refused.example"), _LINK, _LONDON, _NOW)
    assert not isinstance(failure.value, NotSentError)
    assert mailbox.received.empty()


def test_no_mail_server_is_an_oserror(server: MailServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = replace(server, port=taken.getsockname()[1])
        with pytest.raises(OSError):
            send_escalation_email(closed, _NOTICE, _LINK, _LONDON, _NOW)


def test_a_mail_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch, server: MailServer) -> None:
    monkeypatch.setattr("appliance.notify.email.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answered: list[socket.socket] = []
        thread = threading.Thread(target=lambda: answered.append(silent.accept()[0]))
        thread.start()
        with pytest.raises(OSError):
            send_escalation_email(replace(server, port=silent.getsockname()[1]), _NOTICE, _LINK, _LONDON, _NOW)
        thread.join()
        answered[0].close()
