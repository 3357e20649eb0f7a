"""The agent's settings file, and the only place that reads it.

TOML, or JSON with the same names. Paths are relative to the settings file:

    device_id = "larkfield-lib-07"        # also the CN of the device's certificate
    data_dir = "data"                     # the outbox
    policy = "policy.json"                # the signed policy to begin with; newer ones come from the box
    policy_key = "policy-public.pem"      # the box's Ed25519 public key
    box_key = "box-public.pem"            # the box's X25519 public key

    [broker]
    host = "box.larkfield.example"
    port = 8883
    ca = "ca.pem"                         # the box's own authority, and no other
    certificate = "device.pem"
    key = "device.key"

``heartbeat_seconds`` (60), ``outbox_megabytes`` (500) and ``keystroke_applications`` ([]: programs without
accessibility in which keys may be read; never a terminal) may be set beside ``device_id``.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.connection import Credentials

DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
"""What a device may be called: it stands in topics, in a certificate and in the broker's rules."""
DEFAULT_PORT = 8883


class ConfigError(ValueError):
    """Settings that can't be used. The message is one sentence for the person who wrote them."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one agent. Paths are absolute; sizes in bytes."""

    credentials: Credentials
    data_dir: Path
    policy: Path
    policy_key: Path
    box_key: Path
    heartbeat_seconds: float
    outbox_bytes: int
    keystroke_applications: tuple[str, ...] = ()

    @property
    def device_id(self) -> str:
        return self.credentials.device_id


def load_config(path: Path) -> Config:
    """The settings in the file at ``path``. Raises ConfigError."""
    try:
        raw = path.read_bytes()
        document = json.loads(raw) if path.suffix == ".json" else tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"the settings file can't be read: {error.strerror}") from error
    except ValueError as error:  # bad TOML, bad JSON and bad UTF-8 alike
        raise ConfigError(f"the settings file isn't {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from error
    return parse_config(document, path.resolve().parent)


def parse_config(document: Any, folder: Path) -> Config:
    """The settings in a parsed ``document``; its paths are relative to ``folder``. Raises ConfigError."""
    top = _Section(
        document,
        "",
        {
            "device_id",
            "data_dir",
            "policy",
            "policy_key",
            "box_key",
            "broker",
            "heartbeat_seconds",
            "outbox_megabytes",
            "keystroke_applications",
        },
    )
    broker = _Section(top.get("broker"), "broker.", {"host", "port", "ca", "certificate", "key"})
    device_id = top.text("device_id")
    if not DEVICE_ID.fullmatch(device_id):
        raise ConfigError("device_id may hold only letters, digits and dashes, at most 64, the first no dash")
    return Config(
        credentials=Credentials(
            device_id=device_id,
            host=broker.text("host"),
            port=int(broker.number("port", DEFAULT_PORT, 1, 65535)),
            ca=folder / broker.text("ca"),
            certificate=folder / broker.text("certificate"),
            key=folder / broker.text("key"),
        ),
        data_dir=folder / top.text("data_dir"),
        policy=folder / top.text("policy"),
        policy_key=folder / top.text("policy_key"),
        box_key=folder / top.text("box_key"),
        heartbeat_seconds=top.number("heartbeat_seconds", 60, 1, 3600),
        outbox_bytes=int(top.number("outbox_megabytes", 500, 1, 100_000) * 1_000_000),
        keystroke_applications=top.texts("keystroke_applications"),
    )


class _Section:
    """A table of the settings, its names checked."""

    def __init__(self, values: Any, prefix: str, known: set[str]) -> None:
        if not isinstance(values, dict):
            raise ConfigError(f"{prefix.rstrip('.') or 'the settings file'} must be a table")
        unknown = sorted(values.keys() - known)
        if unknown:
            raise ConfigError(f"{prefix}{unknown[0]} is not a known setting")
        self._values = values
        self._prefix = prefix

    def get(self, name: str) -> Any:
        if name not in self._values:
            raise ConfigError(f"{self._prefix}{name} is missing")
        return self._values[name]

    def text(self, name: str) -> str:
        value = self.get(name)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self._prefix}{name} must be text, and not empty")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._values.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
            raise ConfigError(f"{self._prefix}{name} must be a list of texts")
        return tuple(values)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self._values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise ConfigError(f"{self._prefix}{name} must be a number from {least} to {most}")
        return value
