"""The only reader of the settings file and of the environment.

The box keeps everything under one home folder: ``data`` (database, sealed captures, search index), ``keys``
(certificates and keys, apart from the data they open) and ``run`` (what the running programs write for each other).
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

DEFAULT_HOME = Path("/var/lib/trustkeep")


class SettingsError(ValueError):
    """A setting that can't be used. The message names it and says what is expected."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one box. docs/settings.md lists each with its meaning."""

    home: Path
    host_name: str = "localhost"
    portal_port: int = 8443
    broker_port: int = 8883
    websocket_port: int = 8884
    smtp_host: str = "localhost"
    smtp_port: int = 25
    smtp_from: str = "trustkeep@localhost"
    ocr_languages: tuple[str, ...] = ("eng", "cym")
    time_zone: str = "Europe/London"
    workers: int = 2
    mis_folder: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_second_factor: str = ""
    ldap_url: str = ""
    ldap_base: str = ""
    ldap_bind_as: str = ""

    @property
    def data(self) -> Path:
        """What the box remembers."""
        return self.home / "data"

    @property
    def keys(self) -> Path:
        """Keys and certificates, apart from what they open."""
        return self.home / "keys"

    @property
    def run(self) -> Path:
        """Sockets, generated configurations and heartbeats of the running programs."""
        return self.home / "run"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data / "trustkeep.db"

    @property
    def captures(self) -> Path:
        """The folder of sealed captures."""
        return self.data / "captures"

    @property
    def detectors(self) -> Path:
        """The folder of a trust's own image detectors, one folder each; empty unless a trust puts one there."""
        return self.home / "detectors"

    @property
    def known_images(self) -> Path:
        """The folder of a trust's own offline lists of known images; empty unless a trust puts one there."""
        return self.home / "known-images"

    @property
    def imports(self) -> Path:
        """The folder of files from the MIS that were taken in or wait to be."""
        return self.data / "imports"

    @property
    def index(self) -> Path:
        """The folder of search indexes; it can be deleted at any time."""
        return self.data / "index"

    @property
    def portal_url(self) -> str:
        """The portal's address as a person types it."""
        return f"https://{self.host_name}:{self.portal_port}"


def load_config(environment: Mapping[str, str] | None = None) -> Config:
    """Read the settings: TRUSTKEEP_HOME names the home folder, ``trustkeep.toml`` in it holds the rest.

    A setting in the environment (TRUSTKEEP_PORTAL_PORT) wins over the file. Raises SettingsError.
    """
    environment = os.environ if environment is None else environment
    home = Path(environment.get("TRUSTKEEP_HOME", str(DEFAULT_HOME))).expanduser().absolute()
    path = home / "trustkeep.toml"
    settings: dict[str, object] = {}
    if path.exists():
        try:
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path}: {error}") from None
    known = {field.name: field for field in fields(Config) if field.name != "home"}
    for name in settings:
        if name not in known:
            raise SettingsError(f"{path}: there is no setting {name!r}; the known ones are {', '.join(sorted(known))}")
    for name in known:
        if (value := environment.get(f"TRUSTKEEP_{name.upper()}")) is not None:
            settings[name] = value
    return Config(home, **{name: _convert(name, value, known[name].type) for name, value in settings.items()})


def _convert(name: str, value: object, kind: object) -> object:
    if kind is int:
        try:
            return int(str(value))
        except ValueError:
            raise SettingsError(f"{name}: a whole number is expected, not {value!r}") from None
    if kind is str:
        return str(value)
    parts = value.split("+") if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise SettingsError(f"{name}: a list of words is expected, not {value!r}")
    return tuple(parts)
