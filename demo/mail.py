"""The demo's mailbox: a local SMTP server that keeps what it is sent as files and says so, and passes nothing on."""

import asyncio
import itertools
import signal
import sys
from email import message_from_bytes
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from appliance.log import start_log


class Mailbox:
    """Keeps each message as a file in a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._numbers = itertools.count(1 + sum(1 for _ in folder.glob("*.eml")))
        self._say = start_log("mailbox")

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        """Keep one message. The name is the server library's."""
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        (self._folder / f"{next(self._numbers):05d}.eml").write_bytes(content)
        self._say(f"message for {', '.join(envelope.rcpt_tos)}: {message_from_bytes(content)['Subject']}")
        return "250 kept"


async def _serve(folder: Path, port: int) -> None:
    controller = Controller(Mailbox(folder), hostname="127.0.0.1", port=port)
    controller.start()
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await stopped.wait()
    controller.stop()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
