"""One connection of ingest to the broker, and the only file of the box that imports paho.

Its callbacks run in paho's thread and only put what happened into the owner's inbox: publishing or waiting there has
been seen to hang, or to keep acknowledgements from being written until the broker gave up. A connection lives once;
after a loss the owner makes a new one, so an acknowledgement can't reach a later connection, where the same number
stands for another message.
"""

import queue
import ssl
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from appliance.broker.message import HEARTBEAT_AT_MOST, MESSAGE_ID_PROPERTY
from appliance.broker.topics import FROM_DEVICES, INGEST, Kind, topic
from appliance.config import Config

UNACKNOWLEDGED_AT_MOST = 50
"""Messages the broker hands over before it waits for an acknowledgement."""
INBOX_AT_MOST = 500
"""Messages that need no acknowledgement are let go of beyond this many; the broker doesn't hold those back."""
RECEIPTS_WAITING_AT_MOST = 1_000
KEEPALIVE = 30


@dataclass(frozen=True, slots=True)
class Ready:
    """Connected, and subscribed to what the devices send."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """A PUBLISH. mid: its number on this connection, to acknowledge it with; 0 when it needs none."""

    topic: str
    message_id: str | None
    payload: bytes = field(repr=False)
    mid: int


Happening = Ready | Lost | Message


class Connection:
    """A connection, from ``open`` to ``close``. What happens on it goes to ``inbox``, the last of it is Lost."""

    def __init__(self, config: Config) -> None:
        self.inbox: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self._config = config
        self._subscribed = 0
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=INGEST,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.max_queued_messages_set(RECEIPTS_WAITING_AT_MOST)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        self._client = client

    def open(self) -> None:
        """Connect and start paho's thread. Raises OSError (ssl.SSLError is one) where the broker can't be reached."""
        keys = self._config.keys
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=keys / "ca.crt")
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(keys / f"{INGEST}.crt", keys / f"{INGEST}.key")
        self._client.tls_set_context(context)
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        # a session is worth nothing: what was not acknowledged comes again from the devices
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = UNACKNOWLEDGED_AT_MOST
        self._client.connect("localhost", self._config.broker_port, KEEPALIVE, clean_start=True, properties=properties)
        self._client.loop_start()

    def close(self) -> None:
        """End it, politely where the other side still listens. Waits for paho's thread."""
        self._client.disconnect()
        self._client.loop_stop()

    def is_running(self) -> bool:
        """Whether paho's thread still runs. If it ever died of a fault of its own, nothing else would tell."""
        thread = self._client._thread
        return thread is not None and thread.is_alive()

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that the message need not come again on this connection."""
        if message.mid:
            self._client.ack(message.mid, 1)

    def send(self, kind: Kind, device_id: str, payload: bytes) -> None:
        """Send something to one device; where it is not connected it is gone."""
        self._client.publish(topic(kind, device_id), payload, qos=1)

    # -- paho's thread

    def _on_connect(self, client: paho.Client, _data: Any, _flags: Any, reason_code: Any, _properties: Any) -> None:
        if reason_code.is_failure:
            self.inbox.put(Lost(f"refused: {reason_code}"))
            return
        every = SubscribeOptions(qos=1)
        client.subscribe([(topic(kind, "+"), every) for kind in FROM_DEVICES])

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reason_codes: Any, _properties: Any) -> None:
        refused = [code for code in reason_codes if code.is_failure]
        self.inbox.put(Lost(f"subscription refused: {refused[0]}") if refused else Ready())

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason_code: Any, _properties: Any) -> None:
        self.inbox.put(Lost(str(reason_code)))

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        needs_none = message.qos == 0
        if needs_none and (self.inbox.qsize() >= INBOX_AT_MOST or len(message.payload) > HEARTBEAT_AT_MOST):
            return  # a heartbeat, or an event sent the wrong way: the device has it still
        named = dict(getattr(message.properties, "UserProperty", []))
        self.inbox.put(
            Message(
                message.topic, named.get(MESSAGE_ID_PROPERTY), bytes(message.payload), 0 if needs_none else message.mid
            )
        )
