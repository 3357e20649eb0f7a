"""The policy this device holds: the last good one the box has signed, on disk, replaced whole or not at all.

What comes is refused where it isn't signed by the box's key, is older than what is held, is another document under the
same number, or has expired; the device then goes on with the one it holds. A held policy that expires goes on working.
"""

import os
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.policy import Policy, PolicyError, parse_policy
from agent.signature import SignatureError, open_envelope, parse_json

FILE_NAME = "policy.json"


class PolicyRefusedError(Exception):
    """A policy that this device doesn't take. The message is one sentence, and holds none of the policy's phrases."""


@dataclass(frozen=True, slots=True)
class Held:
    """A policy with the bytes that were signed."""

    policy: Policy
    document: bytes

    @property
    def number(self) -> int:
        assert self.policy.number is not None, "open_policy sees to it"
        return self.policy.number

    def expired(self, now: datetime) -> bool:
        return self.policy.expires_at is not None and now >= self.policy.expires_at


def open_policy(envelope: bytes, key: Ed25519PublicKey) -> Held:
    """The policy in ``envelope``, whatever its number and dates. Raises PolicyRefusedError."""
    try:
        document = open_envelope(envelope, key)
        policy = parse_policy(parse_json(document))
    except SignatureError as error:
        raise PolicyRefusedError(str(error)) from error
    except PolicyError as error:
        faults = str(error).splitlines()
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise PolicyRefusedError(f"the policy can't be used: {faults[0][:200]}{more}") from error
    missing = [name for name in ("number", "issued_at", "expires_at") if getattr(policy, name) is None]
    if missing:
        raise PolicyRefusedError(f"the policy doesn't say its {missing[0]}")
    return Held(policy, document)


class PolicyStore:
    """The policy in force. ``current`` may be read from any thread; ``accept`` is called by one."""

    def __init__(self, folder: Path, key: Ed25519PublicKey, held: Held) -> None:
        self._folder = folder
        self._key = key
        self._held = held
        self._lock = threading.Lock()

    @property
    def current(self) -> Held:
        return self._held

    def accept(self, envelope: bytes, now: datetime) -> bool:
        """Take the policy in ``envelope``, on disk before it is in force. False where it is the one that is held.

        Raises PolicyRefusedError; then the held one stays.
        """
        with self._lock:
            new, held = open_policy(envelope, self._key), self._held
            if new.number < held.number:
                raise PolicyRefusedError(f"policy {new.number} is older than policy {held.number}, which is held")
            if new.number == held.number:
                if new.document != held.document:
                    raise PolicyRefusedError(f"another policy {new.number} is held already")
                return False
            if new.expired(now):
                raise PolicyRefusedError(f"policy {new.number} has expired")
            write_whole(self._folder / FILE_NAME, envelope)
            self._held = new
            return True


def open_store(folder: Path, first: Path, key: Ed25519PublicKey) -> PolicyStore:
    """The store in ``folder``; the policy with the highest number in it or in the file ``first`` is in force.

    Raises PolicyRefusedError where neither holds a policy that can be used. ``first`` comes from enrolment; it is
    taken as it is if nothing else is there, expired or not, for a device that stood in a cupboard must still work.
    """
    found: list[Held] = []
    refused: list[PolicyRefusedError] = []
    for path in (folder / FILE_NAME, first):
        try:
            found.append(open_policy(path.read_bytes(), key))
        except PolicyRefusedError as error:
            refused.append(error)
        except FileNotFoundError:
            continue
        except OSError as error:
            refused.append(PolicyRefusedError(f"the policy file can't be read: {error.strerror}"))
    if not found:
        raise refused[-1] if refused else PolicyRefusedError("there is no policy file")
    return PolicyStore(folder, key, max(found, key=lambda held: held.number))


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put ``data`` in the file at ``path``: after a crash at any moment the old or the new stands there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    if os.name == "posix":  # the new name itself must survive a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
