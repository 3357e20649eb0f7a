"""A small OpenID Connect provider that the tests run as a process of its own, on loopback.

It does what a real one does (discovery, authorization code with PKCE, signed ID tokens, a code used once), signs in
whoever it was told to without asking, and can be told to misbehave. ``POST /control`` takes a JSON object of switches;
``GET /seen`` gives the requests it had.

Run as ``python -m tests.directory.provider CLIENT_ID CLIENT_SECRET REDIRECT_URI [PORT]``; prints its issuer when ready.
"""

import base64
import hashlib
import json
import secrets
import sys
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey
from joserfc.jws import JWSRegistry

DEFAULTS: dict[str, Any] = {
    "person": {"sub": "nobody", "email": "nobody@school.example", "email_verified": True},
    "claims": {},  # laid over the ID token; a null takes the claim away
    "algorithm": "RS256",
    "sign_with": "own",  # "other": a key that is not published, under the published name
    "publish": "first",  # "second": the keys were changed
    "error": "",
    "state": "",
    "answer_issuer": "",
    "reuse_codes": False,
    "id_token": True,
    "broken": "",  # "discovery", "keys", "token": answer 500 there; "keys_type": no JSON
    "metadata": {},
}


@dataclass
class Provider:
    """What the provider knows."""

    client_id: str
    client_secret: str
    redirect_uri: str
    issuer: str = ""
    switches: dict[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    keys: dict[str, Any] = field(
        default_factory=lambda: {
            "first": RSAKey.generate_key(2048, {"kid": "first", "use": "sig"}),
            "second": RSAKey.generate_key(2048, {"kid": "second", "use": "sig"}),
            "other": RSAKey.generate_key(2048, {"kid": "first"}),
            "curve": ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"}),
        }
    )

    def published(self) -> dict[str, Any]:
        """The key set, with a kind of key that the box does not know beside those it does."""
        names = (self.switches["publish"], "curve")
        strange = {"kty": "AKP", "kid": "later", "alg": "ML-DSA-44", "pub": "AAAA"}
        return {"keys": [strange, *(self.keys[name].as_dict(private=False) for name in names)]}

    def token(self, code: dict[str, str]) -> str:
        """The ID token for a code."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": now,
            "exp": now + 300,
            "nonce": code["nonce"],
            **self.switches["person"],
            **self.switches["claims"],
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        algorithm = self.switches["algorithm"]
        if algorithm == "none":
            return f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{_encode(claims)}."
        if algorithm.startswith("HS"):
            key: Any = OctKey.import_key(self.client_secret)
        elif algorithm.startswith("ES"):
            key = self.keys["curve"]
        else:
            key = self.keys["other" if self.switches["sign_with"] == "other" else self.switches["publish"]]
        header = {"alg": algorithm, **({"kid": key.kid} if key.kid else {})}
        return jwt.encode(header, claims, key, registry=JWSRegistry(algorithms=[algorithm]))


def _encode(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class Handler(BaseHTTPRequestHandler):
    """The provider's pages."""

    provider: Provider

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Discovery, keys, and the sign-in page, which signs in at once."""
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        provider, switches = self.provider, self.provider.switches
        if parts.path == "/seen":
            return self._json(provider.seen)
        provider.seen.append(self.path)
        if parts.path == "/.well-known/openid-configuration":
            if switches["broken"] == "discovery":
                return self._json({}, 500)
            return self._json(
                {
                    "issuer": provider.issuer,
                    "authorization_endpoint": f"{provider.issuer}/authorize",
                    "token_endpoint": f"{provider.issuer}/token",
                    "jwks_uri": f"{provider.issuer}/keys",
                    **switches["metadata"],
                }
            )
        if parts.path == "/keys":
            return self._json(provider.published(), 500 if switches["broken"] == "keys" else 200)
        if parts.path == "/authorize":
            return self._authorize(query)
        return self._json({}, 404)

    def _authorize(self, query: dict[str, str]) -> None:
        provider, switches = self.provider, self.provider.switches
        right = {
            "client_id": provider.client_id,
            "redirect_uri": provider.redirect_uri,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        if any(query.get(name) != value for name, value in right.items()) or "openid" not in query["scope"].split():
            return self._json({"error": "invalid_request"}, 400)
        answer = {"state": switches["state"] or query["state"]}
        if switches["answer_issuer"]:
            answer["iss"] = switches["answer_issuer"]
        if switches["error"]:
            answer["error"] = switches["error"]
        else:
            answer["code"] = secrets.token_urlsafe(16)
            provider.codes[answer["code"]] = query
        self.send_response(302)
        self.send_header("Location", f"{provider.redirect_uri}?{urlencode(answer)}")
        self.end_headers()

    def do_POST(self) -> None:
        """The token endpoint, and the switches."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        provider = self.provider
        if self.path == "/control":
            provider.switches = {**DEFAULTS, **json.loads(body)}
            return self._json({})
        provider.seen.append(self.path)
        if provider.switches["broken"] == "token":
            return self._json({}, 500)
        form = {name: values[0] for name, values in parse_qs(body).items()}
        kind, _, basic = self.headers.get("Authorization", "").partition(" ")
        name, _, secret = base64.b64decode(basic).decode().partition(":")
        if (kind, unquote(name), unquote(secret)) != ("Basic", provider.client_id, provider.client_secret):
            return self._json({"error": "invalid_client"}, 401)
        code = provider.codes.get(form["code"])
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        used = form["code"] in provider.used and not provider.switches["reuse_codes"]
        if (
            code is None
            or used
            or form["redirect_uri"] != code["redirect_uri"]
            or challenge.rstrip(b"=").decode() != code["code_challenge"]
        ):
            return self._json({"error": "invalid_grant"}, 400)
        provider.used.add(form["code"])
        answer = {"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "expires_in": 300}
        if provider.switches["id_token"]:
            answer["id_token"] = provider.token(code)
        return self._json(answer)

    def _json(self, value: object, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(client_id: str, client_secret: str, redirect_uri: str, port: str = "0") -> None:
    """Serve until killed."""
    Handler.provider = Provider(client_id, client_secret, redirect_uri)
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    Handler.provider.issuer = f"http://127.0.0.1:{server.server_port}"
    print(Handler.provider.issuer, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
