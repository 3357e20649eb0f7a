"""Which directories this box asks, by its settings and the secrets beside its keys."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Config, SettingsError
from appliance.directory.ldap import LdapDirectory
from appliance.directory.oidc import OpenIdProvider

BACK = "/sign-in/provider/back"
"""The portal's page that a provider sends people back to; it is registered with the provider."""

CLIENT_SECRET = "oidc-client-secret"  # noqa: S105 the name of a file
LDAP_PASSWORD = "ldap-password"  # noqa: S105
AUTHORITY = "directory-ca.crt"


@dataclass(frozen=True, slots=True)
class Directories:
    """The directories that people of this box may sign in through: none, one or both."""

    provider: OpenIdProvider | None = None
    ldap: LdapDirectory | None = None


def open_directories(config: Config) -> Directories:
    """Read settings and secrets. Asks nobody yet. Raises SettingsError when something does not fit together."""
    authority = config.keys / AUTHORITY
    trusted = _trusted(authority if authority.exists() else None)
    provider = ldap = None
    if config.oidc_issuer:
        if not config.oidc_client_id:
            raise SettingsError("oidc_client_id: must be set beside oidc_issuer; the directory gives it")
        provider = OpenIdProvider(
            config.oidc_issuer,
            config.oidc_client_id,
            _secret(config.keys / CLIENT_SECRET, "oidc_issuer"),
            f"{config.portal_url}{BACK}",
            trusted,
            config.oidc_second_factor,
        )
    if config.ldap_url:
        for name in ("ldap_base", "ldap_bind_as"):
            if not getattr(config, name):
                raise SettingsError(f"{name}: must be set beside ldap_url")
        # where people's own names are the ones to bind as, there is no service account and so no password to keep
        password = "" if "{name}" in config.ldap_bind_as else _secret(config.keys / LDAP_PASSWORD, "ldap_url")
        ldap = LdapDirectory(config.ldap_url, config.ldap_base, config.ldap_bind_as, password, trusted)
    return Directories(provider, ldap)


def _secret(path: Path, needed_by: str) -> str:
    try:
        if path.stat().st_mode & 0o077:
            raise SettingsError(f"{path}: others on this machine can read it. Run: chmod 600 {path}")
        secret = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise SettingsError(f"{path}: there is no such file, and {needed_by} needs the secret in it") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not a line of text") from None
    if not secret:
        raise SettingsError(f"{path}: is empty")
    return secret


def _trusted(authority: Path | None) -> str:
    """The file or folder of the authorities that may vouch for a directory: the trust's own one, or the system's."""
    if authority is not None:
        return str(authority)
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or paths.openssl_capath
