"""The files that mosquitto runs on, and telling it to read them again."""

import base64
import hashlib
import os
import pwd
import re
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from appliance.broker.files import SECRET, make_private_folder, write_file
from appliance.broker.message import PAYLOAD_AT_MOST
from appliance.broker.topics import FROM_DEVICES, INGEST, TO_DEVICES, Kind, is_device_id, topic
from appliance.config import Config

IN_FLIGHT_AT_MOST = 20
QUEUED_BYTES_AT_MOST = 268_435_456
QUEUED_MESSAGES_AT_MOST = 20_000
"""Enough that the bytes are the limit: the broker drops what goes beyond it although it has acknowledged it."""
PID_FILE = "mosquitto.pid"
MEMORY_AT_MOST = 1_073_741_824
"""Bytes the broker may hold in all: some 26 kB for each of 10,000 devices, the queue, and as much again."""


_ROUNDS = 101
"""mosquitto's own number. It would be far too few for a password; a token of 256 random bits can't be guessed."""
_TOKEN_HASH = re.compile(r"\$7\$\d{1,7}\$[A-Za-z0-9+/]{16,}={0,2}\$[A-Za-z0-9+/]{86}==")


def write_configuration(
    config: Config, device_ids_denied: Iterable[str], token_hashes: Mapping[str, str] | None = None
) -> Path:
    """Write mosquitto.conf, its rules and its passwords into ``config.run``; the path of mosquitto.conf.

    device_ids_denied: devices whose certificate was revoked. The list of revoked certificates keeps them from
    connecting again; only a rule takes effect on a connection that is open. token_hashes: of browsers, by device id.
    """
    make_private_folder(config.run)
    write_file(config.run / "acl", _rules(device_ids_denied).encode(), SECRET)
    write_file(config.run / "passwords", _passwords(token_hashes or {}).encode(), SECRET)
    path = config.run / "mosquitto.conf"
    write_file(path, _settings(config).encode(), SECRET)
    return path


def hash_token(token: str, salt: bytes) -> str:
    """A browser's token as mosquitto's file of passwords holds it. salt: 12 random bytes."""
    digest = hashlib.pbkdf2_hmac("sha512", token.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def reload(pid: int) -> None:
    """Have a running mosquitto read its rules, its certificate and the list of revoked ones again.

    Raises ProcessLookupError when there is no such process.
    """
    os.kill(pid, signal.SIGHUP)


def find(config: Config) -> int | None:
    """The process id of the mosquitto that runs on these files; None where none does."""
    try:
        pid = int((config.run / PID_FILE).read_text())
        # a number left over from an earlier life may be another program's by now
        return pid if Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto" else None
    except (OSError, ValueError):
        return None


def _settings(config: Config) -> str:
    keys = config.keys
    return f"""\
# written by the appliance; changes here are lost
{_user(config)}pid_file {config.run / PID_FILE}
per_listener_settings false
allow_anonymous false
acl_file {config.run / "acl"}
# tokens of browsers; a certificate's name asks for none
password_file {config.run / "passwords"}
listener {config.broker_port}
cafile {keys / "ca.crt"}
certfile {keys / "server.crt"}
keyfile {keys / "server.key"}
crlfile {keys / "crl.pem"}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
# a device that connects under the client id of another would otherwise throw it out
use_username_as_clientid true
# browsers, which the TLS front lets in at /mqtt. Without the socket's domain it would listen on every address
listener {config.websocket_port} 127.0.0.1
socket_domain ipv4
protocol websockets
use_username_as_clientid true
# nothing that waits here is on a disk: the device keeps it until ingest has it
persistence false
max_packet_size {PAYLOAD_AT_MOST}
max_inflight_messages {IN_FLIGHT_AT_MOST}
max_queued_messages {QUEUED_MESSAGES_AT_MOST}
max_queued_bytes {QUEUED_BYTES_AT_MOST}
memory_limit {MEMORY_AT_MOST}
max_connections -1
log_dest stdout
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S%z
"""


def _user(config: Config) -> str:
    """Run as the owner of the files: started by root, mosquitto would become a user who can't read them."""
    try:
        return f"user {pwd.getpwuid(config.run.stat().st_uid).pw_name}\n"
    except KeyError:  # a number without a name: not root, so mosquitto stays what it is
        return ""


def _rules(device_ids_denied: Iterable[str]) -> str:
    lines = [
        *(f"pattern write {topic(kind, '%u')}" for kind in FROM_DEVICES),
        *(f"pattern read {topic(kind, '%u')}" for kind in TO_DEVICES),
        "",
        f"user {INGEST}",
        *(f"topic read {topic(kind, '+')}" for kind in FROM_DEVICES),
        *(f"topic write {topic(kind, '+')}" for kind in TO_DEVICES),
    ]
    for device_id in sorted(set(device_ids_denied)):
        if not is_device_id(device_id):
            raise ValueError("a name that can't be a device's would write rules of its own")
        lines += ["", f"user {device_id}", *(f"topic deny {topic(kind, device_id)}" for kind in Kind)]
    return "\n".join(lines) + "\n"


def _passwords(token_hashes: Mapping[str, str]) -> str:
    for device_id, hashed in token_hashes.items():
        if not is_device_id(device_id) or not _TOKEN_HASH.fullmatch(hashed):
            raise ValueError("a name or a hash that can't be a device's would write passwords of its own")
    return "".join(f"{device_id}:{hashed}\n" for device_id, hashed in sorted(token_hashes.items()))
