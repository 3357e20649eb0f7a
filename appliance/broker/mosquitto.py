"""The files that mosquitto runs on, and telling it to read them again."""

import os
import pwd
import signal
from collections.abc import Iterable
from pathlib import Path

from appliance.broker.files import SECRET, make_private_folder, write_file
from appliance.broker.message import PAYLOAD_AT_MOST
from appliance.broker.topics import INGEST, Kind, is_device_id, topic
from appliance.config import Config

IN_FLIGHT_AT_MOST = 20
QUEUED_BYTES_AT_MOST = 268_435_456
QUEUED_MESSAGES_AT_MOST = 20_000
"""Enough that the bytes are the limit: the broker drops what goes beyond it although it has acknowledged it."""
MEMORY_AT_MOST = 1_073_741_824
"""Bytes the broker may hold in all: some 26 kB for each of 10,000 devices, the queue, and as much again."""


def write_configuration(config: Config, device_ids_denied: Iterable[str]) -> Path:
    """Write mosquitto.conf and its rules into ``config.run``; the path of mosquitto.conf.

    device_ids_denied: devices whose certificate was revoked. The list of revoked certificates keeps them from
    connecting again; only a rule takes effect on a connection that is open.
    """
    make_private_folder(config.run)
    write_file(config.run / "acl", _rules(device_ids_denied).encode(), SECRET)
    path = config.run / "mosquitto.conf"
    write_file(path, _settings(config).encode(), SECRET)
    return path


def reload(pid: int) -> None:
    """Have a running mosquitto read its rules, its certificate and the list of revoked ones again.

    Raises ProcessLookupError when there is no such process.
    """
    os.kill(pid, signal.SIGHUP)


def _settings(config: Config) -> str:
    keys = config.keys
    return f"""\
# written by the appliance; changes here are lost
{_user(config)}per_listener_settings false
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
allow_anonymous false
acl_file {config.run / "acl"}
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
        f"pattern write {topic(Kind.EVENT, '%u')}",
        f"pattern write {topic(Kind.HEARTBEAT, '%u')}",
        f"pattern read {topic(Kind.RECEIPT, '%u')}",
        "",
        f"user {INGEST}",
        f"topic read {topic(Kind.EVENT, '+')}",
        f"topic read {topic(Kind.HEARTBEAT, '+')}",
        f"topic write {topic(Kind.RECEIPT, '+')}",
    ]
    for device_id in sorted(set(device_ids_denied)):
        if not is_device_id(device_id):
            raise ValueError("a name that can't be a device's would write rules of its own")
        lines += ["", f"user {device_id}", *(f"topic deny {topic(kind, device_id)}" for kind in Kind)]
    return "\n".join(lines) + "\n"
