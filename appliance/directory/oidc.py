"""Signing in through an OpenID Connect provider: authorization code with PKCE, state and nonce.

Entra ID, Google Workspace and AD FS are set-ups of it (docs/directories.md). The one outbound connection of the box
that a trust may choose: it is made only when an issuer is set, and only to that issuer's own endpoints.
"""

import contextlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ClaimError,
    ExpiredTokenError,
    InvalidKeyIdError,
    JoseError,
    MissingAlgorithmError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from requests import RequestException, Response
from requests.utils import get_environ_proxies

from appliance.config import SettingsError
from appliance.safeguarding.directory import SIGN_IN_LASTS, DirectoryRefusedError, Identity, PendingSignIn, Refusal

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")
"""Signatures by the provider's private key. Never "none", and none made with a secret that both sides know."""

TIMEOUT_S = (5.0, 10.0)
"""To connect, and for each piece of an answer."""

CLOCK_LEEWAY_S = 60
LARGEST_ANSWER = 500_000
METADATA_LASTS = timedelta(hours=1)
KEYS_ASKED_EVERY = timedelta(minutes=1)
"""How often, at most, a signature by an unknown key makes the box fetch the provider's keys anew."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

GOOGLE = "https://accounts.google.com"

_CLAIM_REFUSALS = {"iss": Refusal.ISSUER, "aud": Refusal.AUDIENCE, "azp": Refusal.AUDIENCE, "nonce": Refusal.NONCE}


class OpenIdProvider:
    """One provider, with its endpoints and keys kept for a while. Safe to share between threads."""

    def __init__(
        self, issuer: str, client_id: str, client_secret: str, redirect_uri: str, trusted: str, second_factor: str = ""
    ) -> None:
        """issuer: as the provider names itself. trusted: file or folder of certificate authorities.

        second_factor: the word in ``amr`` or ``acr`` by which the provider says that it asked for more than a
        password; empty when the trust does not want that to count. Raises SettingsError for an unfit issuer.
        """
        if not _is_safe(issuer):
            raise SettingsError(f"oidc_issuer: an address that begins with https:// is expected, not {issuer!r}")
        self.issuer = issuer
        self._client_id, self._client_secret = client_id, client_secret
        self._redirect_uri, self._trusted, self._second_factor = redirect_uri, trusted, second_factor
        self._lock = threading.Lock()
        self._metadata: dict[str, Any] = {}
        self._metadata_at: datetime | None = None
        self._keys: KeySet | None = None
        self._keys_at: datetime | None = None

    def begin(self, pending: PendingSignIn) -> str:
        """The address of the provider's sign-in page for this sign-in. Raises DirectoryRefusedError."""
        metadata = self._discover(pending.begun_at)
        with self._session(metadata) as session:
            address, _state = session.create_authorization_url(
                metadata["authorization_endpoint"],
                state=pending.state,
                code_verifier=pending.verifier,
                nonce=pending.nonce,
            )
        return str(address)

    def finish(self, pending: PendingSignIn | None, answer: Mapping[str, str], now: datetime) -> Identity:
        """Who the provider says has signed in. Raises DirectoryRefusedError.

        pending: the sign-in begun in this browser, if any. answer: what the provider put into the address.
        """
        if pending is None or not hmac.compare_digest(pending.state.encode(), answer.get("state", "").encode()):
            raise DirectoryRefusedError(Refusal.STATE)
        if not timedelta(0) <= now - pending.begun_at <= SIGN_IN_LASTS:
            raise DirectoryRefusedError(Refusal.LATE)
        if answer.get("iss", self.issuer) != self.issuer:  # RFC 9207: an answer mixed up with another provider's
            raise DirectoryRefusedError(Refusal.ISSUER)
        if "error" in answer or not answer.get("code"):
            raise DirectoryRefusedError(Refusal.CANCELLED, _plain(answer.get("error", "no code")))
        token = self._redeem(answer["code"], pending.verifier, now)
        claims = self._check(token, pending.nonce, now)
        return Identity(
            self.issuer,
            claims["sub"],
            vouched_emails(self.issuer, claims),
            self._had_second_factor(claims),
            pending.nonce,
        )

    def check(self, now: datetime) -> None:
        """Fetch endpoints and keys, to see that the provider can be reached. Raises DirectoryRefusedError."""
        self._metadata_at = None
        self._fetch_keys(now)

    def _discover(self, now: datetime) -> dict[str, Any]:
        with self._lock:
            if self._metadata_at is not None and timedelta(0) <= now - self._metadata_at < METADATA_LASTS:
                return self._metadata
        metadata = self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if metadata.get("issuer") != self.issuer:
            raise DirectoryRefusedError(
                Refusal.SETTINGS, f"the provider calls itself {_plain(metadata.get('issuer'))}, not {self.issuer}"
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not _is_safe(metadata.get(name)):
                raise DirectoryRefusedError(Refusal.SETTINGS, f"the provider's {name} is not an https:// address")
        with self._lock:
            self._metadata, self._metadata_at = metadata, now
        return metadata

    def _fetch_keys(self, now: datetime) -> KeySet:
        found = self._get(self._discover(now)["jwks_uri"])
        try:
            keys = KeySet.import_key_set({"keys": [key for key in found["keys"] if key.get("kty") in ("RSA", "EC")]})
        except (JoseError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DirectoryRefusedError(Refusal.SETTINGS, f"the provider's keys can't be read ({error})") from None
        with self._lock:
            self._keys, self._keys_at = keys, now
        return keys

    def _redeem(self, code: str, verifier: str, now: datetime) -> Mapping[str, Any]:
        metadata = self._discover(now)
        endpoint = metadata["token_endpoint"]
        with self._session(metadata) as session:
            try:
                token: Mapping[str, Any] = session.fetch_token(
                    endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    verify=self._trusted,
                    allow_redirects=False,
                    timeout=TIMEOUT_S,
                    proxies=_proxies(endpoint),
                )
            except OAuthError as error:
                if error.error in ("invalid_client", "unauthorized_client"):
                    raise DirectoryRefusedError(
                        Refusal.SETTINGS, "the provider does not accept the box's secret"
                    ) from None
                raise DirectoryRefusedError(Refusal.CODE, _plain(error.error)) from None
            except RequestException as error:
                raise DirectoryRefusedError(Refusal.UNREACHABLE, type(error).__name__) from None
            except (ValueError, TypeError) as error:
                raise DirectoryRefusedError(Refusal.TOKEN, type(error).__name__) from None
        return token

    def _check(self, token: Mapping[str, Any], nonce: str, now: datetime) -> CodeIDToken:
        """The claims of the ID token, checked as OpenID Connect Core 3.1.3.7 asks."""
        signed = token.get("id_token")
        if not isinstance(signed, str):
            raise DirectoryRefusedError(Refusal.TOKEN, "there is no ID token in the answer")
        try:
            decoded = self._decode(signed, now)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "sub": {"essential": True},
                    "nonce": {"essential": True, "value": nonce},
                },
                {"nonce": nonce, "client_id": self._client_id, "access_token": token.get("access_token")},
            )
            claims.validate(now=int(now.timestamp()), leeway=CLOCK_LEEWAY_S)
        except (BadSignatureError, InvalidKeyIdError):
            raise DirectoryRefusedError(Refusal.SIGNATURE) from None
        except (UnsupportedAlgorithmError, MissingAlgorithmError):
            raise DirectoryRefusedError(Refusal.ALGORITHM) from None
        except ExpiredTokenError:
            raise DirectoryRefusedError(Refusal.EXPIRED) from None
        except ClaimError as error:
            raise DirectoryRefusedError(_CLAIM_REFUSALS.get(error.claim, Refusal.TOKEN), _plain(error.claim)) from None
        except (JoseError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise DirectoryRefusedError(Refusal.TOKEN, type(error).__name__) from None
        return claims

    def _decode(self, signed: str, now: datetime) -> jwt.Token:
        registry = JWSRegistry(algorithms=list(ALGORITHMS), strict_check_header=False)
        with self._lock:
            keys, fetched_at = self._keys, self._keys_at
        fresh = fetched_at is not None and timedelta(0) <= now - fetched_at < METADATA_LASTS
        if keys is None or not fresh:
            return jwt.decode(signed, self._fetch_keys(now), registry=registry)
        try:
            return jwt.decode(signed, keys, registry=registry)
        except (InvalidKeyIdError, BadSignatureError):
            # the provider may have changed its keys since
            if fetched_at is not None and now - fetched_at < KEYS_ASKED_EVERY:
                raise
            return jwt.decode(signed, self._fetch_keys(now), registry=registry)

    def _had_second_factor(self, claims: Mapping[str, Any]) -> bool:
        methods = claims.get("amr")
        said = [*(methods if isinstance(methods, list) else ()), claims.get("acr")]
        return bool(self._second_factor) and self._second_factor in said

    @contextlib.contextmanager
    def _session(self, metadata: Mapping[str, Any]) -> Iterator[OAuth2Session]:
        offered = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in offered else "client_secret_post"
        session = OAuth2Session(
            self._client_id,
            self._client_secret,
            token_endpoint_auth_method=method,
            scope="openid email profile",
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )
        session.trust_env = False  # nothing of a .netrc
        with session:
            yield session

    def _get(self, address: str) -> dict[str, Any]:
        with self._session({}) as session:
            try:
                with session.request(
                    "GET",
                    address,
                    withhold_token=True,
                    verify=self._trusted,
                    allow_redirects=False,
                    timeout=TIMEOUT_S,
                    proxies=_proxies(address),
                    stream=True,
                ) as response:
                    found = json.loads(_read(response))
            except (RequestException, OSError) as error:
                raise DirectoryRefusedError(Refusal.UNREACHABLE, f"{_host(address)}: {type(error).__name__}") from None
            except ValueError:
                raise DirectoryRefusedError(Refusal.SETTINGS, f"{_host(address)} sent no JSON") from None
        if not isinstance(found, dict):
            raise DirectoryRefusedError(Refusal.SETTINGS, f"{_host(address)} sent no JSON object")
        return found


def vouched_emails(issuer: str, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The e-mail address in the claims, if the provider vouches that it is the person's."""
    email = claims.get("email")
    # Entra ID says it of the address's domain, and only when asked to; AD FS can only say it as text
    vouched = any(claims.get(name) in (True, "true", "True", "1") for name in ("email_verified", "xms_edov"))
    if not isinstance(email, str) or not vouched:
        return ()
    if issuer == GOOGLE and not claims.get("hd"):
        return ()  # anyone can make a private account with an address they once had; Workspace names its domain
    return (email,)


def _read(response: Response) -> bytes:
    if response.status_code != 200:
        host = _host(response.url)
        kind = Refusal.UNREACHABLE if response.status_code >= 500 else Refusal.SETTINGS
        raise DirectoryRefusedError(kind, f"{host} answered {response.status_code}")
    body = bytearray()
    for piece in response.iter_content(65536):
        body += piece
        if len(body) > LARGEST_ANSWER:
            raise DirectoryRefusedError(Refusal.SETTINGS, f"{_host(response.url)} sent too much")
    return bytes(body)


def _is_safe(address: object) -> bool:
    """Whether an address is under TLS; on the machine itself it need not be."""
    if not isinstance(address, str):
        return False
    parts = urlsplit(address)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def _proxies(address: str) -> dict[str, str]:
    return {} if urlsplit(address).hostname in LOOPBACK else dict(get_environ_proxies(address, no_proxy=None))


def _host(address: str) -> str:
    return urlsplit(address).hostname or "the provider"


def _plain(text: object) -> str:
    """A word of the provider's for the audit trail: short, and of plain letters only."""
    return "".join(letter for letter in str(text)[:120] if letter.isascii() and letter.isprintable())
