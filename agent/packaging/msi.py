"""``python -m agent.packaging.msi --source FOLDER --out trustkeep-agent.msi``: the Windows installer, made on Linux.

FOLDER is the frozen agent as PyInstaller makes it on Windows (``--onedir``), with ``trustkeep-agent.exe`` at its top.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from xml.sax.saxutils import quoteattr

from agent import __version__

TEMPLATE = Path(__file__).with_name("agent.wxs")
PROGRAM = "trustkeep-agent.exe"
LINK = "frozen"
"""The name under which the source refers to the folder of files."""
NAMESPACE = uuid.UUID("f0a52a44-5c50-4f0a-8c9b-1d0b7c0e9a10")
"""What a file's component is named after: the same path has the same component in every version."""


class PackagingError(Exception):
    """The installer can't be made. The message is one sentence."""


def make_source(source: Path, version: str) -> str:
    """The WiX source for the files in ``source``. Raises PackagingError."""
    if not re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,5}", version):
        raise PackagingError("the version must have three numbers, for Windows compares them")
    if not (source / PROGRAM).is_file():
        raise PackagingError(f"there is no {PROGRAM} in {source}")
    references: list[str] = []
    directories = _describe(source, source, references, 10)
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in (
        ("VERSION", version),
        ("DIRECTORIES", "\n".join(directories)),
        ("REFERENCES", "\n".join(f'      <ComponentRef Id="{reference}"/>' for reference in references)),
    ):
        text = text.replace(f"@{name}@", value)
    return text


def make_installer(source: Path, out: Path, version: str = __version__) -> None:
    """Write the installer to ``out``. Raises PackagingError, also where wixl is missing."""
    with tempfile.TemporaryDirectory() as folder:
        wxs = Path(folder) / "agent.wxs"
        # wixl takes only paths that are relative to the folder it runs in
        (Path(folder) / LINK).symlink_to(source.resolve(), target_is_directory=True)
        wxs.write_text(make_source(source.resolve(), version), encoding="utf-8")
        made = Path(folder) / "agent.msi"
        _run(["wixl", "--arch", "x64", "--output", made.name, wxs.name], folder)
        # wixl writes this property itself and leaves ours out of it: without it only an administrator's own process,
        # and not the installer's service, would see them
        secure = "WIX_UPGRADE_DETECTED;WIX_DOWNGRADE_DETECTED;BOX;ENROL;FINGERPRINT"
        query = f"UPDATE `Property` SET `Value` = '{secure}' WHERE `Property` = 'SecureCustomProperties'"  # noqa: S608
        _run(["msibuild", made.name, "-q", query], folder)
        shutil.copyfile(made, out)


def _run(command: list[str], folder: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    except FileNotFoundError as error:
        raise PackagingError(f"{command[0]} is missing: install the packages wixl and msitools") from error
    if done.returncode:
        raise PackagingError(f"{command[0]} failed: {done.stderr.strip()[-300:]}")


def _describe(folder: Path, top: Path, references: list[str], depth: int) -> list[str]:
    """The elements of a folder's files and folders; the components' names go to ``references``."""
    indent, lines = " " * depth, []
    for path in sorted(folder.iterdir()):
        name = _name(path, top)
        if path.is_dir():
            lines.append(f"{indent}<Directory Id={quoteattr('d' + name)} Name={quoteattr(path.name)}>")
            lines += _describe(path, top, references, depth + 2)
            lines.append(f"{indent}</Directory>")
        elif path != top / PROGRAM:
            references.append(f"c{name}")
            guid = str(uuid.uuid5(NAMESPACE, path.relative_to(top).as_posix())).upper()
            lines.append(f'{indent}<Component Id="c{name}" Guid="{guid}" Win64="yes">')
            lines.append(
                f"{indent}  <File Id={quoteattr('f' + name)} Name={quoteattr(path.name)}"
                f' Source={quoteattr(f"{LINK}/{path.relative_to(top).as_posix()}")} KeyPath="yes"/>'
            )
            lines.append(f"{indent}</Component>")
    return lines


def _name(path: Path, top: Path) -> str:
    """A name of letters and digits that only this path has; Windows Installer takes 72 characters at most."""
    return hashlib.sha256(path.relative_to(top).as_posix().encode()).hexdigest()[:24]


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m agent.packaging.msi", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help="the folder with the frozen agent")
    parser.add_argument("--out", type=Path, required=True, help="the installer to write")
    options = parser.parse_args(arguments)
    try:
        make_installer(options.source, options.out)
    except PackagingError as error:
        print(f"msi: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
