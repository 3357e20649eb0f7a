"""What the box tells a device besides its receipts: a new policy, a command, a renewed certificate."""

from collections.abc import Callable
from datetime import datetime

from agent.message import CommandError, parse_certificate, parse_command
from agent.outbox import Outbox
from agent.policy_store import PolicyRefusedError, PolicyStore
from agent.renewal import Renewal, RenewalError


class Orders:
    """Carries them out, in the publisher's thread. policy_changed: called after a new policy is in force."""

    def __init__(
        self,
        store: PolicyStore | None,
        renewal: Renewal | None,
        *,
        say: Callable[[str], None],
        policy_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._renewal = renewal
        self._say = say
        self._policy_changed = policy_changed

    def carry_out(self, kind: str, payload: bytes, outbox: Outbox, now: datetime) -> bool:
        """Do what a message of ``kind`` asks; what can't be done is said and ignored. True: connect anew."""
        match kind:
            case "policy":
                self._take_policy(payload, now)
            case "command":
                self._obey(payload, outbox)
            case "certificate":
                return self._take_certificate(payload, now)
        return False

    def _take_policy(self, envelope: bytes, now: datetime) -> None:
        if self._store is None:
            return
        try:
            if not self._store.accept(envelope, now):
                return
        except PolicyRefusedError as error:
            self._say(f"policy refused: {error}; going on with policy {self._store.current.number}")
            return
        except OSError as error:
            self._say(f"policy not taken: it can't be kept ({error.strerror})")
            return
        held = self._store.current
        self._say(f"policy {held.number} in force: {held.policy.version}, {len(held.policy.rules)} rules")
        self._policy_changed()

    def _obey(self, payload: bytes, outbox: Outbox) -> None:
        try:
            command = parse_command(payload)
        except CommandError as error:
            self._say(f"command ignored: {error}")
            return
        number = outbox.resend(command.queue_epoch, command.from_sequence)
        self._say(f"the box asked for events from {command.from_sequence} on: {number} sent again")

    def _take_certificate(self, payload: bytes, now: datetime) -> bool:
        if self._renewal is None:
            return False
        try:
            self._renewal.accept(parse_certificate(payload), now)
        except (CommandError, RenewalError) as error:
            self._say(f"new certificate refused: {error}")
            return False
        except OSError as error:
            self._say(f"new certificate not taken: it can't be kept ({error.strerror})")
            return False
        self._say("a new certificate has come; connecting with it")
        return True
