"""Asking the trust's LDAP directory (Active Directory, OpenLDAP) whether a name and password belong together.

Works without internet. The password is only ever sent over TLS; on the machine itself a directory without TLS will do.
"""

import contextlib
import re
import ssl
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ldap3 import DEREF_NEVER, NONE, SIMPLE, SUBTREE, SYNC, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException, LDAPStartTLSError
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from appliance.config import SettingsError
from appliance.safeguarding.directory import DirectoryRefusedError, Identity, Refusal

TIMEOUT_S = 5
"""To connect, and for each answer."""

LONGEST_NAME = 200

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_FILTER = "(&(objectClass=person)(|(mail={name})(userPrincipalName={name})(sAMAccountName={name})(uid={name})))"
"""What people type for themselves in Active Directory and elsewhere; a server passes over what it does not know."""

_ATTRIBUTES = ["mail", "userAccountControl", "objectGUID", "entryUUID"]

_DISABLED_BIT = 0x0002
"""ACCOUNTDISABLE in Active Directory's userAccountControl."""

_INVALID_CREDENTIALS, _INVALID_DN, _UNWILLING, _BUSY, _UNAVAILABLE, _TOO_MANY = 49, 34, 53, 51, 52, 4

_WHY_AD_REFUSED = {
    "532": Refusal.PASSWORD_EXPIRED,
    "773": Refusal.PASSWORD_EXPIRED,
    "533": Refusal.DIRECTORY_DISABLED,
    "701": Refusal.DIRECTORY_DISABLED,
    "775": Refusal.DIRECTORY_DISABLED,
}
"""The Windows code in the message of a refused bind; given for a disabled account only when the password was right."""


class _CheckedTls(Tls):  # type: ignore[misc]
    """TLS as Python's own library does it, with the host's name sent and checked; ldap3's own way does neither well."""

    def __init__(self, trusted: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._trusted = trusted
        self.problem = ""

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:
        """Begin TLS on the connection's socket. Raises ssl.SSLError, and keeps its words in ``problem``."""
        try:
            where = "capath" if Path(self._trusted).is_dir() else "cafile"
            context = ssl.create_default_context(**{where: self._trusted})
            # newer Pythons also want certificates formed as RFC 5280 has it, which many a school's own authority misses
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            connection.socket = context.wrap_socket(connection.socket, server_hostname=connection.server.host)
        except ssl.SSLCertVerificationError as error:
            self.problem = error.verify_message or "its certificate is not valid"
            raise
        except ssl.SSLError as error:
            self.problem = f"no TLS could be agreed ({error.reason})"
            raise


class LdapDirectory:
    """One LDAP directory. Each question opens a connection of its own; safe to share between threads."""

    def __init__(self, url: str, base: str, bind_as: str, password: str, trusted: str) -> None:
        """url: ldaps://host, or ldap://host for StartTLS. base: the DN below which staff are found.

        bind_as: the DN of a service account, whose password is given; or, with ``{name}`` in it, how a person's own
        name is made from what they type. Raises SettingsError.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in ("ldap", "ldaps") or not parts.hostname or parts.path.strip("/"):
            raise SettingsError(f"ldap_url: an address such as ldaps://dc1.trust.example is expected, not {url!r}")
        self.issuer = f"ldap:{base.lower()}"
        self._host, self._under_tls = parts.hostname, parts.scheme == "ldaps"
        self._port = port or (636 if self._under_tls else 389)
        self._base, self._bind_as, self._password, self._trusted = base, bind_as, password, trusted

    def check_password(self, name: str, password: str) -> Identity:
        """Who it is, if the name and the password belong together. Raises DirectoryRefusedError.

        The last step is always a bind as the very entry that was found, with what was typed as its password.
        """
        name = name.strip()
        # a bind with no password succeeds at most servers: it is anonymous (RFC 4513, 5.1.2)
        if not password or not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise DirectoryRefusedError(Refusal.PASSWORD)
        with self._connection() as connection:
            as_themselves = "{name}" in self._bind_as
            if as_themselves:
                _bind(connection, own_name(self._bind_as, name), password)
            else:
                self._bind_service(connection)
            entry = self._find(connection, name)
            if entry is None:
                if as_themselves:
                    raise DirectoryRefusedError(Refusal.SETTINGS, "no entry of that name under ldap_base")
                # takes as long as for a name that is there, and can't succeed
                _bind(connection, f"cn=nobody-{uuid.UUID(int=0)},{self._base}", password)
                raise DirectoryRefusedError(Refusal.PASSWORD)
            _bind(connection, entry["dn"], password)
        return self._identity(entry)

    def check(self) -> None:
        """Connect, and bind as the service account if there is one. Raises DirectoryRefusedError."""
        with self._connection() as connection:
            if "{name}" not in self._bind_as:
                self._bind_service(connection)
                self._find(connection, "nobody")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        tls = _CheckedTls(self._trusted)
        server = Server(
            self._host, self._port, use_ssl=self._under_tls, tls=tls, get_info=NONE, connect_timeout=TIMEOUT_S
        )
        connection = Connection(
            server,
            authentication=SIMPLE,
            user="nobody",  # ldap3 wants both before it will open; nothing is sent until bind
            password="nothing",  # noqa: S106
            client_strategy=SYNC,
            auto_referrals=False,  # a referral could send the password anywhere
            check_names=False,
            receive_timeout=TIMEOUT_S,
        )
        try:
            connection.open(read_server_info=False)
            if not self._under_tls:
                self._start_tls(connection, tls)
            yield connection
        except (LDAPException, OSError) as error:
            if tls.problem:
                raise DirectoryRefusedError(Refusal.SETTINGS, f"{self._host}: {tls.problem}") from None
            raise DirectoryRefusedError(Refusal.UNREACHABLE, f"{self._host}: {type(error).__name__}") from error
        finally:
            with contextlib.suppress(LDAPException, OSError):
                connection.unbind()

    def _start_tls(self, connection: Connection, tls: _CheckedTls) -> None:
        try:
            if connection.start_tls(read_server_info=False):
                return
        except LDAPStartTLSError:
            if tls.problem:
                raise
        if self._host not in _LOOPBACK:
            raise DirectoryRefusedError(
                Refusal.SETTINGS, f"{self._host}: it offers no TLS, and no password goes without"
            )

    def _bind_service(self, connection: Connection) -> None:
        try:
            _bind(connection, self._bind_as, self._password)
        except DirectoryRefusedError as error:
            if error.refusal is Refusal.UNREACHABLE:
                raise
            raise DirectoryRefusedError(
                Refusal.SETTINGS, f"the service account was refused ({error.refusal})"
            ) from None

    def _find(self, connection: Connection, name: str) -> Mapping[str, Any] | None:
        connection.search(
            self._base,
            _FILTER.format(name=escape_filter_chars(name)),
            search_scope=SUBTREE,
            dereference_aliases=DEREF_NEVER,
            attributes=_ATTRIBUTES,
            size_limit=2,
            time_limit=TIMEOUT_S,
        )
        code = connection.result["result"]
        entries = [entry for entry in connection.response or () if entry.get("type") == "searchResEntry"]
        if code not in (0, _TOO_MANY):
            raise DirectoryRefusedError(Refusal.SETTINGS, f"the search under ldap_base failed (LDAP code {code})")
        if len(entries) > 1 or code == _TOO_MANY:
            raise DirectoryRefusedError(Refusal.AMBIGUOUS)
        return entries[0] if entries and entries[0]["dn"] else None

    def _identity(self, entry: Mapping[str, Any]) -> Identity:
        raw = {name.lower(): values for name, values in entry["raw_attributes"].items()}
        control = _first(raw, "useraccountcontrol")
        if control.isdigit() and int(control) & _DISABLED_BIT:
            raise DirectoryRefusedError(Refusal.DIRECTORY_DISABLED)
        emails = tuple(value.decode("utf-8", "replace") for value in raw.get("mail", ()))
        return Identity(self.issuer, _lasting_id(raw), emails)


def own_name(template: str, name: str) -> str:
    """The name to bind as, made of what a person typed: a DN in which it can't add a part, or an account@domain."""
    return template.replace("{name}", escape_rdn(name) if "=" in template else name)


def _bind(connection: Connection, user: str, password: str) -> None:
    if not connection.rebind(user=user, password=password, authentication=SIMPLE, read_server_info=False):
        raise refused_bind(connection.result["result"], str(connection.result.get("message", "")))


def refused_bind(code: int, message: str) -> DirectoryRefusedError:
    """What a bind that did not succeed means. code: LDAP's result code. message: the server's own words."""
    if code == _INVALID_CREDENTIALS:
        windows = re.search(r"\bdata ([0-9a-f]+)", message)
        return DirectoryRefusedError(_WHY_AD_REFUSED.get(windows[1] if windows else "", Refusal.PASSWORD))
    if code == _INVALID_DN:
        return DirectoryRefusedError(Refusal.PASSWORD)
    if code == _UNWILLING:
        return DirectoryRefusedError(Refusal.DIRECTORY_DISABLED)
    if code in (_BUSY, _UNAVAILABLE):
        return DirectoryRefusedError(Refusal.UNREACHABLE, f"LDAP code {code}")
    return DirectoryRefusedError(Refusal.SETTINGS, f"bind: LDAP code {code}")


def _first(raw: Mapping[str, list[bytes]], name: str) -> str:
    values = raw.get(name) or [b""]
    return values[0].decode("utf-8", "replace")


def _lasting_id(raw: Mapping[str, list[bytes]]) -> str:
    """The id that stays with an entry when its name changes, and that no other will ever have."""
    if guid := raw.get("objectguid"):
        return str(uuid.UUID(bytes_le=guid[0])) if len(guid[0]) == 16 else guid[0].hex()
    if found := _first(raw, "entryuuid"):
        return found
    raise DirectoryRefusedError(Refusal.SETTINGS, "the directory shows no objectGUID or entryUUID of its entries")
