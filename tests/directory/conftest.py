"""A provider and a slapd that really run, and portals that people sign in to through them."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from appliance.config import Config
from appliance.web.app import create_app
from tests.directory.slapd import BASE, PEOPLE, SERVICE, SERVICE_PASSWORD, Slapd, entry, person, run_slapd
from tests.factories import Box
from tests.web.conftest import Visitor

ROOT = Path(__file__).parents[2]
CLIENT_ID = "trustkeep at larch"
CLIENT_SECRET = "the client's secret, of some length"
BACK = "https://localhost:8443/sign-in/provider/back"


@dataclass
class RunningProvider:
    """A provider's process. switch() makes it misbehave until the next call."""

    issuer: str
    process: subprocess.Popen[str]

    def switch(self, **switches: object) -> None:
        """Set the switches named, and put all others back."""
        urllib.request.urlopen(f"{self.issuer}/control", json.dumps(switches).encode()).close()

    def seen(self) -> list[str]:
        """The paths that were asked for so far."""
        with urllib.request.urlopen(f"{self.issuer}/seen") as answer:
            found: list[str] = json.load(answer)
        return found

    def stop(self) -> None:
        """End it, as a server goes down."""
        self.process.kill()
        self.process.wait()


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def follow(address: str) -> str:
    """Open the provider's page as a browser would; the path and query it sends the browser back to."""
    try:
        urllib.request.build_opener(_Stay).open(address).close()
    except urllib.error.HTTPError as answer:
        with answer:
            assert answer.code == 302, (answer.code, address)
            parts = urlsplit(answer.headers["Location"])
            return f"{parts.path}?{parts.query}"
    raise AssertionError("the provider did not send the browser back")


def begin(visitor: Visitor, target: str = "") -> str:
    """Begin at the portal and sign in at the provider; the path the browser is sent back to."""
    response = visitor.get(f"/sign-in/provider?next={target}" if target else "/sign-in/provider")
    assert response.status_code == 302, response.get_data(as_text=True)
    return follow(response.headers["Location"])


def through_provider(visitor: Visitor, target: str = "") -> TestResponse:
    """The whole way through the provider."""
    return visitor.get(begin(visitor, target))


def through_ldap(visitor: Visitor, name: str, password: str, **more: str) -> TestResponse:
    """Sign in with a name and password of the directory."""
    visitor.get("/sign-in/directory")
    return visitor.post("/sign-in/directory", name=name, password=password, **more)


def failures(box: Box) -> list[tuple[str, str, str]]:
    """The refused sign-ins in the audit trail: who did it, to what, why."""
    rows = box.db.conn.execute(
        "SELECT actor_id, subject, detail FROM audit WHERE kind = 'staff:sign_in_failed' ORDER BY seq"
    )
    return [(actor, subject, json.loads(detail)["why"]) for actor, subject, detail in rows]


def methods(box: Box) -> list[tuple[str, str]]:
    """The sessions that were begun: whose, and how."""
    return list(box.db.conn.execute("SELECT staff_id, method FROM session ORDER BY begun_at"))


@pytest.fixture(scope="session")
def shared_provider() -> Iterator[RunningProvider]:
    running = start_provider()
    yield running
    running.stop()
    assert running.process.stdout is not None
    running.process.stdout.close()


def start_provider() -> RunningProvider:
    """A provider on a free port of loopback."""
    command = [sys.executable, "-m", "tests.directory.provider", CLIENT_ID, CLIENT_SECRET, BACK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    return RunningProvider(process.stdout.readline().strip(), process)


@pytest.fixture
def provider(shared_provider: RunningProvider) -> RunningProvider:
    """A provider that behaves."""
    shared_provider.switch()
    return shared_provider


def write_secret(path: Path, secret: str) -> None:
    """Keep a secret as the box wants it."""
    path.write_text(f"{secret}\n")
    path.chmod(0o600)


def with_provider(config: Config, issuer: str, **more: str) -> Config:
    """The settings of a box whose people sign in through the provider."""
    write_secret(config.keys / "oidc-client-secret", CLIENT_SECRET)
    return replace(config, oidc_issuer=issuer, oidc_client_id=CLIENT_ID, **more)


@pytest.fixture
def oidc_app(box: Box, provider: RunningProvider) -> Flask:
    """A portal whose people sign in through the provider."""
    return create_app(with_provider(box.config, provider.issuer))


@pytest.fixture
def at_provider(oidc_app: Flask) -> Visitor:
    """Nobody, at a browser, at such a portal."""
    return Visitor(oidc_app)


def free_ports(count: int) -> tuple[int, ...]:
    """Ports nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return tuple(one.getsockname()[1] for one in sockets)


STAFF = [
    person("hannah", "hannah's school password", "Hannah@School.example"),
    person("other", "other's school password", "other@school.example"),
    person("twin1", "twin's password", "twin@school.example"),
    person("twin2", "twin's password", "twin@school.example"),
    person("nomail", "nomail's password"),
    entry(
        f"cn=Zoë Brown\\, (Maths)*,{PEOPLE}",
        "inetOrgPerson+adAccount",
        cn="Zoë Brown, (Maths)*",
        sn="Brown",
        mail="zoe@school.example",
        userPassword="zoë's pässword",
        sAMAccountName="zbrown",
        userPrincipalName="zbrown@larch.example",
        userAccountControl="512",
        objectGUID="\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10",
    ),
    entry(
        f"cn=Gone,{PEOPLE}",
        "inetOrgPerson+adAccount",
        cn="Gone",
        sn="Gone",
        mail="gone@school.example",
        userPassword="gone's password",
        sAMAccountName="gone",
        userAccountControl="514",
    ),
    # a pupil whose account is named like a member of staff's; no person to the box's question, but it can bind
    entry(
        f"cn=hannah,ou=services,{BASE}",
        "organizationalRole+simpleSecurityObject",
        cn="hannah",
        userPassword="a pupil's",
    ),
]


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A directory with TLS."""
    one, two, three = free_ports(3)
    with run_slapd(tmp_path_factory.mktemp("slapd") / "tls", (one, two, three), STAFF) as running:
        yield running


@pytest.fixture(scope="session")
def plain_slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A directory without TLS."""
    one, two, three = free_ports(3)
    with run_slapd(tmp_path_factory.mktemp("slapd") / "plain", (one, two, three), STAFF, tls=False) as running:
        yield running


def with_ldap(config: Config, slapd: Slapd, **more: Any) -> Config:
    """The settings of a box whose people sign in with the directory's passwords."""
    write_secret(config.keys / "ldap-password", SERVICE_PASSWORD)
    (config.keys / "directory-ca.crt").write_bytes(slapd.authority.read_bytes())
    return replace(config, **{"ldap_url": slapd.ldaps, "ldap_base": BASE, "ldap_bind_as": SERVICE, **more})


@pytest.fixture
def at_ldap(box: Box, slapd: Slapd) -> Visitor:
    """Nobody, at a browser, at a portal whose people sign in with the directory's passwords."""
    return Visitor(create_app(with_ldap(box.config, slapd)))


@pytest.fixture
def invited(box: Box) -> Callable[[str], str]:
    """Makes a DSL with an e-mail address; their id."""
    from appliance.safeguarding.access import Role

    def invite(email: str) -> str:
        dsl = box.staff(Role.DSL, academy_id="ashby")
        box.db.conn.execute("UPDATE staff SET email = ? WHERE id = ?", [email, dsl.staff_id])
        return dsl.staff_id

    return invite
