"""Notices go out by a real mail server, once, and hold no child's name."""

import socket
from dataclasses import replace
from email import message_from_bytes, policy
from queue import Queue

from aiosmtpd.controller import Controller

from appliance.safeguarding.access import Role
from appliance.safeguarding.report import NewReport
from appliance.telling import tell_noticed
from appliance.workflow.report import report_concern
from tests.factories import NOW, Box


def test_a_dsl_is_told_of_a_colleagues_report_by_mail_once_and_without_the_child(box: Box) -> None:
    received: Queue[tuple[str, str]] = Queue()

    class Handler:
        async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
            content = envelope.content  # type: ignore[attr-defined]
            message = message_from_bytes(content, policy=policy.default)
            received.put((message["To"], content.decode()))
            return "250 OK"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = replace(box.config, smtp_host="127.0.0.1", smtp_port=port)
    dsl, staff = box.staff(Role.DSL, academy_id="ashby"), box.staff(Role.STAFF, academy_id="ashby")
    report = NewReport("r1", "ashby", "Robin Testcase in 9A", "Cried after the lesson")
    assert report_concern(box.open_as(staff), staff, report, NOW, box.new_id) == 1
    said: list[str] = []
    tell_noticed(config, box.db, NOW, said.append)
    assert len(said) == 1 and "failed" in said[0]
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        later = NOW.replace(hour=NOW.hour + 1)
        tell_noticed(config, box.db, later, said.append)
        tell_noticed(config, box.db, later, said.append)
    finally:
        controller.stop()
    assert received.qsize() == 1 and len(said) == 2
    to, text = received.get()
    assert f"{dsl.staff_id}@school.example" in to and staff.name in text and "Ashby" in text
    assert not any(word in text for word in ("Robin", "Testcase", "9A", "Cried"))
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE 'notice:%' ORDER BY seq")]
    assert kinds == ["notice:failed", "notice:sent"]
