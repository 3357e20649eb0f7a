"""Debian's own slapd, started by the tests on loopback with a configuration, data and certificates of its own."""

import base64
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BASE = "dc=larch,dc=example"
SERVICE = f"cn=trustkeep,ou=services,{BASE}"
SERVICE_PASSWORD = "the service account's password"
PEOPLE = f"ou=people,{BASE}"

# what Active Directory calls them, with the rules by which they are compared
_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
attributetype ( 1.2.840.113556.1.4.221 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.656 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.8 NAME 'userAccountControl' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.2.840.113556.1.4.2 NAME 'objectGUID' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
objectclass ( 1.2.840.113556.1.5.9.1 NAME 'adAccount' SUP top AUXILIARY
  MAY ( sAMAccountName $ userPrincipalName $ userAccountControl $ objectGUID ) )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {folder}/slapd.pid
{tls}
database mdb
suffix "{base}"
directory {folder}/data
maxsize 10485760
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{service}" read by self read by users read by * none
"""

_TLS = """\
TLSCACertificateFile {folder}/ca.crt
TLSCertificateFile {folder}/slapd.crt
TLSCertificateKeyFile {folder}/slapd.key
"""


@dataclass(frozen=True)
class Slapd:
    """A directory that runs. url under TLS, plain under StartTLS; elsewhere is not among the names of this machine."""

    folder: Path
    ldaps: str
    ldap: str
    elsewhere: str

    @property
    def authority(self) -> Path:
        """The certificate of the authority that signed for it."""
        return self.folder / "ca.crt"


def person(name: str, password: str, mail: str = "", **more: str) -> str:
    """The entry of a person in LDIF."""
    return entry(
        f"uid={name},{PEOPLE}", "inetOrgPerson", cn=name, sn=name, uid=name, userPassword=password, mail=mail, **more
    )


def entry(dn: str, kind: str, **values: str) -> str:
    """An entry in LDIF; several object classes are joined by +."""
    lines = [f"dn:: {_base64(dn)}", *(f"objectClass: {one}" for one in kind.split("+"))]
    lines += [f"{name}:: {_base64(value)}" for name, value in values.items() if value]
    return "\n".join(lines) + "\n\n"


def _base64(value: str) -> str:
    return base64.b64encode(value.encode("utf-8", "surrogateescape")).decode()


@contextmanager
def run_slapd(folder: Path, ports: tuple[int, int, int], entries: list[str], tls: bool = True) -> Iterator[Slapd]:
    """Run slapd with these entries until the end of the block."""
    (folder / "data").mkdir(parents=True)
    _write_certificates(folder)
    configuration = folder / "slapd.conf"
    configuration.write_text(
        _CONFIGURATION.format(folder=folder, base=BASE, service=SERVICE, tls=_TLS.format(folder=folder) if tls else "")
    )
    first = entry(BASE, "dcObject+organization", dc="larch", o="Larch Trust")
    first += "".join(entry(f"ou={ou},{BASE}", "organizationalUnit", ou=ou) for ou in ("people", "services"))
    first += entry(SERVICE, "organizationalRole+simpleSecurityObject", cn="trustkeep", userPassword=SERVICE_PASSWORD)
    data = folder / "data.ldif"
    data.write_text(first + "".join(entries))
    subprocess.run(["/usr/sbin/slapadd", "-q", "-f", configuration, "-l", data], check=True, capture_output=True)
    found = Slapd(
        folder, f"ldaps://localhost:{ports[0]}", f"ldap://localhost:{ports[1]}", f"ldap://127.0.0.2:{ports[2]}"
    )
    listen = " ".join(
        [f"ldaps://127.0.0.1:{ports[0]}/"] * tls + [f"ldap://127.0.0.1:{ports[1]}/", f"{found.elsewhere}/"]
    )
    process = subprocess.Popen(
        ["/usr/sbin/slapd", "-d", "stats", "-f", configuration, "-h", listen], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "slapd starting" in line:
            break
    else:
        raise RuntimeError("slapd did not start:\n" + "".join(said))
    drain = threading.Thread(target=process.stderr.read)
    drain.start()
    try:
        # it says that it starts a moment before it listens
        for host, port in (
            *((("127.0.0.1", ports[0]),) if tls else ()),
            ("127.0.0.1", ports[1]),
            ("127.0.0.2", ports[2]),
        ):
            _wait_for(host, port)
        yield found
    finally:
        process.terminate()
        process.wait()
        drain.join()
        process.stderr.close()


def _wait_for(host: str, port: int) -> None:
    for _ in range(500):
        try:
            return socket.create_connection((host, port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise RuntimeError(f"nothing listens on {host}:{port}")


def _write_certificates(folder: Path) -> None:
    """An authority, and a certificate of it for localhost and 127.0.0.1."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Larch Trust authority")])
    now = datetime.now(UTC)

    def sign(subject: x509.Name, public: ec.EllipticCurvePublicKey, *more: x509.ExtensionType) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        for one in more:
            builder = builder.add_extension(one, critical=isinstance(one, x509.BasicConstraints))
        return builder.sign(authority, hashes.SHA256())

    ca = sign(name, authority.public_key(), x509.BasicConstraints(ca=True, path_length=0))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    host = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dc1.larch.example")])
    certificate = sign(host, key.public_key(), x509.BasicConstraints(ca=False, path_length=None), names)
    (folder / "ca.crt").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "slapd.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "slapd.key").write_bytes(private)
