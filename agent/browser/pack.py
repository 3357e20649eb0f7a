"""Packs the extension for forced installation: the signed .crx, its update.xml, and the policies that name both.

    python -m agent.browser.pack --key extension.pem --out dist --update-url https://box.example/browser/update.xml \\
        [--box https://box.example --code ABCD-EFGH-JKLM] [--unpacked]

The key (RSA, PEM) is made where there is none. Keep it: the extension's id is that of the key, and browsers take an
update only from the same one. In ``--out`` then lie trustkeep.crx, update.xml, chromium-policy.json (for a file under
/etc/chromium/policies/managed or Chrome's own folder) and google-admin.json (the extension's policy in Google Admin).
"""

import argparse
import base64
import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from xml.sax.saxutils import quoteattr

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

SOURCE = Path(__file__).with_name("extension")
COMMON_WORDS = Path(__file__).parents[1] / "common_words.txt"
CRX_NAME = "trustkeep.crx"
_KEY_BITS = 2048
_SIGNED = b"CRX3 SignedData\x00"
# fields of the crx header: https://source.chromium.org, components/crx_file/crx3.proto
_SHA256_WITH_RSA, _SIGNED_HEADER_DATA = 2, 10_000
_PUBLIC_KEY, _SIGNATURE, _CRX_ID = 1, 2, 1


def load_or_make_key(path: Path) -> rsa.RSAPrivateKey:
    """The key in the PEM file at ``path``, made now (mode 0600) where there is none. Raises OSError, ValueError."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        key = rsa.generate_private_key(65_537, _KEY_BITS)
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the extension's key must be an RSA key")
    return key


def extension_id(public_key: bytes) -> str:
    """The id browsers give to an extension of that public key (DER): 32 letters a to p."""
    return "".join(chr(ord("a") + int(digit, 16)) for digit in hashlib.sha256(public_key).hexdigest()[:32])


def public_der(key: rsa.RSAPrivateKey) -> bytes:
    """The public half, as DER SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def files(key: rsa.RSAPrivateKey, update_url: str | None, version: str | None = None) -> dict[str, bytes]:
    """The extension's files by name. The manifest gets the key, so that also unpacked it has its id."""
    held = {
        path.relative_to(SOURCE).as_posix(): path.read_bytes() for path in sorted(SOURCE.rglob("*")) if path.is_file()
    }
    held["common_words.txt"] = COMMON_WORDS.read_bytes()
    manifest = json.loads(held["manifest.json"])
    manifest["key"] = base64.b64encode(public_der(key)).decode()
    if update_url:
        manifest["update_url"] = update_url
    if version:
        manifest["version"] = version
    held["manifest.json"] = json.dumps(manifest, indent=2).encode()
    return held


def write_unpacked(folder: Path, held: dict[str, bytes]) -> None:
    """The files in ``folder``, for loading by hand. What lies there is replaced."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in held.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def pack(key: rsa.RSAPrivateKey, held: dict[str, bytes]) -> bytes:
    """The signed .crx (version 3). The same files and key give the same bytes."""
    archive = _zip(held)
    public = public_der(key)
    signed_header = _field(_CRX_ID, hashlib.sha256(public).digest()[:16])
    message = _SIGNED + len(signed_header).to_bytes(4, "little") + signed_header + archive
    signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    proof = _field(_PUBLIC_KEY, public) + _field(_SIGNATURE, signature)
    header = _field(_SHA256_WITH_RSA, proof) + _field(_SIGNED_HEADER_DATA, signed_header)
    return b"Cr24" + (3).to_bytes(4, "little") + len(header).to_bytes(4, "little") + header + archive


def update_manifest(identifier: str, version: str, crx_url: str) -> str:
    """The update.xml that browsers ask for."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<gupdate xmlns="http://www.google.com/update2/response" protocol="2.0">\n'
        f"  <app appid={quoteattr(identifier)}>\n"
        f"    <updatecheck codebase={quoteattr(crx_url)} version={quoteattr(version)}/>\n"
        "  </app>\n"
        "</gupdate>\n"
    )


def browser_policy(identifier: str, update_url: str, settings: dict[str, str]) -> dict[str, object]:
    """Chromium's and Chrome's policy: the extension is there, stays, shows its badge, and nothing goes round it."""
    return {
        "ExtensionSettings": {
            identifier: {
                "installation_mode": "force_installed",
                "update_url": update_url,
                "override_update_url": True,
                "toolbar_pin": "force_pinned",
            }
        },
        "IncognitoModeAvailability": 1,
        "BrowserGuestModeEnabled": False,
        "BrowserAddPersonEnabled": False,
        # not on extensions that policy installs
        "DeveloperToolsAvailability": 0,
        "3rdparty": {"extensions": {identifier: settings}},
    }


def google_admin_policy(settings: dict[str, str]) -> dict[str, dict[str, str]]:
    """The same settings in the form that the Google Admin console takes for an extension."""
    return {name: {"Value": value} for name, value in settings.items()}


def _zip(held: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(held):
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, held[name])
    return buffer.getvalue()


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes in protocol buffers' writing."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m agent.browser.pack", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--key", type=Path, required=True, help="the extension's RSA key, PEM; made where there is none"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--update-url", required=True, help="where browsers will find update.xml")
    parser.add_argument("--box", default="", help="the box's address, for the policies")
    parser.add_argument("--code", default="", help="an enrolment code, for the policies")
    parser.add_argument("--unpacked", action="store_true", help="also write the extension as a folder")
    given = parser.parse_args(arguments)
    try:
        key = load_or_make_key(given.key)
        identifier = write_all(key, given.out, given.update_url, given.box, given.code, given.unpacked)
    except (OSError, ValueError) as error:
        print(f"not packed: {error}", file=sys.stderr)
        return 1
    print(identifier)
    return 0


def write_all(key: rsa.RSAPrivateKey, out: Path, update_url: str, box: str, code: str, unpacked: bool = False) -> str:
    """Write everything into ``out``; the extension's id."""
    held = files(key, update_url)
    identifier = extension_id(public_der(key))
    version = json.loads(held["manifest.json"])["version"]
    settings = {name: value for name, value in (("box", box), ("code", code)) if value}
    out.mkdir(parents=True, exist_ok=True)
    (out / CRX_NAME).write_bytes(pack(key, held))
    crx_url = f"{update_url.rpartition('/')[0]}/{CRX_NAME}"
    (out / "update.xml").write_text(update_manifest(identifier, version, crx_url), encoding="utf-8")
    policy = browser_policy(identifier, update_url, settings)
    (out / "chromium-policy.json").write_text(json.dumps(policy, indent=2) + "\n", encoding="utf-8")
    admin = google_admin_policy(settings)
    (out / "google-admin.json").write_text(json.dumps(admin, indent=2) + "\n", encoding="utf-8")
    if unpacked:
        write_unpacked(out / "extension", held)
    return identifier


if __name__ == "__main__":
    sys.exit(main())
