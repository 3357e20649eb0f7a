"""The files that imports are made of, on the box's own disk until they are too old to be needed."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

KEEP_FILES = timedelta(days=30)
"""So long a file is kept after it came: it can be imported again after an undo."""


def open_new(folder: Path, import_id: str) -> BinaryIO:
    """Open the place for a file that comes in."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return (folder / import_id).open("wb")


def open_kept(folder: Path, import_id: str) -> BinaryIO:
    """Open an import's file. Raises FileNotFoundError when it is no longer kept."""
    return (folder / import_id).open("rb")


def forget_old(folder: Path, now: datetime) -> None:
    """Delete the files that came long ago."""
    for path in folder.glob("*"):
        if path.is_file() and now.timestamp() - path.stat().st_mtime > KEEP_FILES.total_seconds():
            path.unlink(missing_ok=True)
