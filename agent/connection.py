"""One connection to the box's broker, and the only file that imports paho.

Its callbacks run in paho's thread and do nothing but put what happened into the owner's inbox: taking a lock there,
or publishing from there, has been seen to hang or to starve the connection. A connection lives once: after a loss the
owner makes a new one, so that no message id of an earlier one can be mistaken.
"""

import queue
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.message import (
    MESSAGE_ID_PROPERTY,
    certificate_topic,
    command_topic,
    event_topic,
    heartbeat_topic,
    policy_topic,
    receipt_topic,
    renew_topic,
)

KEEPALIVE = 60
INCOMING_AT_MOST = 2_100_000
"""Bytes of a packet from the box: a large policy."""
PACKET_OVERHEAD = 256
"""Bytes that topic, properties and headers of an event add to its payload, at most (a device id has 64 characters)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the box is and how the two know each other. certificate and key: the device's; ca: the box's own, alone."""

    device_id: str
    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Ready:
    """Connected, and all the box's topics are subscribed. None: the broker set no limit."""

    connection: int
    packet_at_most: int | None
    unacknowledged_at_most: int | None


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is over. reason: for the device's own log."""

    connection: int
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has answered a publish. code: MQTT 5 reason code; only 0 means that someone will get it."""

    connection: int
    mid: int
    code: int


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the box. kind: "receipt", "policy", "command" or "certificate"."""

    connection: int
    kind: str
    payload: bytes


Happening = Ready | Lost | Acknowledged | Received
"""What a connection tells its owner. connection: its number, so that a late word of an earlier one is known as such."""


class Connection:
    """A connection attempt and what comes of it: Ready or Lost, then Acknowledged and Received, and Lost at the end."""

    def __init__(
        self, credentials: Credentials, number: int, inbox: "queue.SimpleQueue[Happening | None]", window: int
    ) -> None:
        self._credentials = credentials
        self._number = number
        self._inbox = inbox
        self._limits: tuple[int | None, int | None] = (None, None)
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=credentials.device_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(window)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    def open(self) -> None:
        """Connect and start paho's thread. Raises OSError (ssl.SSLError is one) where the box can't be reached."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self._credentials.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._credentials.certificate, self._credentials.key)
        self._client.tls_set_context(context)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.MaximumPacketSize = INCOMING_AT_MOST
        self._client.connect(
            self._credentials.host, self._credentials.port, KEEPALIVE, clean_start=True, properties=properties
        )
        self._client.loop_start()

    def close(self) -> None:
        """End it, politely where the other side still listens. Waits for paho's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def publish_event(self, message_id: str, payload: bytes) -> int | None:
        """Send a sealed event; the mid under which it will be Acknowledged, None where the connection is gone."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = (MESSAGE_ID_PROPERTY, message_id)
        info = self._client.publish(event_topic(self._credentials.device_id), payload, qos=1, properties=properties)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def publish_heartbeat(self, payload: bytes) -> None:
        """Send a heartbeat, once and unconfirmed."""
        self._client.publish(heartbeat_topic(self._credentials.device_id), payload, qos=0)

    def publish_renewal(self, payload: bytes) -> None:
        """Ask for a new certificate. What becomes of it is seen by the answer alone."""
        self._client.publish(renew_topic(self._credentials.device_id), payload, qos=1)

    # -- paho's thread

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason_code: Any, properties: Any) -> None:
        if reason_code.is_failure:
            self._inbox.put(Lost(self._number, f"refused: {reason_code}"))
            return
        self._limits = (
            getattr(properties, "MaximumPacketSize", None),
            getattr(properties, "ReceiveMaximum", None),
        )
        device_id = self._credentials.device_id
        topics = [build(device_id) for build in (receipt_topic, policy_topic, command_topic, certificate_topic)]
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in topics])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reason_codes: Any, _properties: Any) -> None:
        if reason_codes[0].is_failure:  # without receipts nothing works; an older box may not know the other topics
            self._inbox.put(Lost(self._number, f"receipts refused: {reason_codes[0]}"))
        else:
            self._inbox.put(Ready(self._number, *self._limits))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason_code: Any, _properties: Any) -> None:
        self._inbox.put(Lost(self._number, str(reason_code)))

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason_code: Any, _properties: Any) -> None:
        self._inbox.put(Acknowledged(self._number, mid, reason_code.value))

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self._inbox.put(Received(self._number, message.topic.split("/")[2], bytes(message.payload)))
