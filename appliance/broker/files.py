"""Writing a file so that a reader finds the old one or the new one, whole, and nobody else can open a secret."""

import contextlib
import os
from pathlib import Path

SECRET = 0o600
PUBLIC = 0o644


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, or close one that is there already."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_file(path: Path, data: bytes, mode: int = SECRET) -> None:
    """Replace the file's contents at once, on the disk when this returns."""
    waiting = path.with_name(f".{path.name}.{os.getpid()}.new")
    with contextlib.suppress(FileNotFoundError):
        waiting.unlink()  # left over by a process that died while it wrote
    try:
        # created with its mode, so that there is no moment in which others could open it
        with open(os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            if os.geteuid() == 0:  # what root writes for the box's own user must be that user's
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(waiting, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            waiting.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
