"""Writing the search indexes: one per academy, each of which can be thrown away and built anew from the store.

Which academies a person may search is decided by which indexes are opened, so there is no filter that could fail open:
Whoosh's own, given an empty set, lets everything through.
"""

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from whoosh import analysis, fields
from whoosh.index import FileIndex, LockError

from appliance.search.patches import DurableStorage, patch_whoosh, sync
from appliance.search.words import words_in

VERSION = 1
"""To be raised whenever what is indexed changes, or how; the box then builds every index anew by itself."""

TEXT = "text"

_VERSION_FILE = "version"
_REBUILDING_FILE = "rebuilding"
_NEW, _OLD = ".new", ".old"
_EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
_READS_BEHIND_A_COMMIT = 5
_MEMORY_MB = 128

_SCHEMA = fields.Schema(
    key=fields.ID(stored=True),
    at=fields.STORED(),
    # in days, because Whoosh keeps several terms for every number: the finer, the more
    day=fields.NUMERIC(int, bits=32),
    category=fields.ID(),
    level=fields.ID(),
    # the words come folded and separated by spaces; the text itself stays in the store alone
    text=fields.TEXT(analyzer=analysis.SpaceSeparatedTokenizer()),
)

patch_whoosh()


@dataclass(frozen=True, slots=True)
class Document:
    """What the index takes of one event or concern. kind: "event" or "concern". at: aware datetime."""

    kind: str
    id: str
    academy_id: str
    at: datetime
    category: str
    level: int
    text: str

    @property
    def key(self) -> str:
        """What the document is found and replaced by."""
        return f"{self.kind}:{self.id}"


class BrokenIndexError(Exception):
    """An academy's index can't be read. Mark everything as not indexed, then call throw_away."""

    def __init__(self, academy_id: str, problem: str) -> None:
        super().__init__(f"the search index of academy {academy_id} can't be read ({problem})")
        self.academy_id = academy_id


def academy_folder(folder: Path, academy_id: str) -> Path:
    """Where an academy's index is. An id with signs that mean something in a path can't lead anywhere else."""
    name = quote(academy_id, safe="").replace(".", "%2E")
    if not name:
        raise ValueError("an academy has an id")
    return folder / name


def open_index(folder: Path, academy_id: str) -> Any | None:
    """An academy's index, or None when there is none yet. A broken one raises whatever Whoosh stumbles over."""
    path = academy_folder(folder, academy_id)
    for _ in range(_READS_BEHIND_A_COMMIT):
        if not path.is_dir():
            return None
        with contextlib.suppress(FileNotFoundError):
            # a commit between looking for the newest table of contents and opening it has removed that one
            return FileIndex(DurableStorage(path), schema=_SCHEMA)
    raise FileNotFoundError(path)


def is_rebuilding(folder: Path) -> bool:
    """Whether the indexes are being built anew, so that something may not be found yet."""
    return (folder / _REBUILDING_FILE).exists()


class Indexer:
    """The one writer of all indexes under a folder. The caller sees to it that there is only one at a time.

    Whoever finds is_current() false, or gets a BrokenIndexError, first marks everything in the store as not indexed and
    then calls wipe() or throw_away(): in that order, so that a crash in between loses nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)

    def is_current(self) -> bool:
        """Whether what is there was made by this version of the program; false too when the folder was emptied."""
        try:
            return (self._folder / _VERSION_FILE).read_text(encoding="ascii") == str(VERSION)
        except (FileNotFoundError, ValueError):
            return False

    def ask_for_rebuild(self) -> None:
        """Have whoever writes these indexes build them anew."""
        (self._folder / _VERSION_FILE).unlink(missing_ok=True)

    def wipe(self) -> None:
        """Throw every index away and begin anew."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._folder / _REBUILDING_FILE).touch()
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        (self._folder / _VERSION_FILE).write_text(str(VERSION), encoding="ascii")
        sync(self._folder / _VERSION_FILE)
        sync(self._folder)

    def throw_away(self, academy_id: str) -> None:
        """Throw one academy's index away and put an empty one in its place."""
        (self._folder / _REBUILDING_FILE).touch()
        path, old = academy_folder(self._folder, academy_id), self._folder / _OLD
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.rename(old)
        self._create(path)
        shutil.rmtree(old, ignore_errors=True)

    def is_rebuilding(self) -> bool:
        """Whether something was thrown away and is not all there again."""
        return is_rebuilding(self._folder)

    def finish_rebuild(self) -> None:
        """Note that everything is indexed again."""
        (self._folder / _REBUILDING_FILE).unlink(missing_ok=True)

    def check(self, academies: Sequence[str]) -> None:
        """Open the index of each academy. Raises BrokenIndexError for the first that can't be."""
        for academy_id in academies:
            try:
                index = open_index(self._folder, academy_id)
                if index is not None:
                    index.reader().close()
            except Exception as error:
                raise BrokenIndexError(academy_id, type(error).__name__) from error

    def update(self, documents: Sequence[Document]) -> None:
        """Take documents in, each in place of an earlier one of its kind and id. On the disk when this returns.

        Raises BrokenIndexError; OSError when the disk does not take it.
        """
        groups: dict[str, dict[str, Document]] = {}
        for document in documents:
            groups.setdefault(document.academy_id, {})[document.key] = document
        for academy_id, group in groups.items():
            self._update_academy(academy_id, list(group.values()))

    def _update_academy(self, academy_id: str, documents: list[Document]) -> None:
        path = academy_folder(self._folder, academy_id)
        if not path.exists():
            self._create(path)
        try:
            index = open_index(self._folder, academy_id)
            assert index is not None
            writer = index.writer(timeout=10, limitmb=_MEMORY_MB)
        except LockError:
            raise
        except Exception as error:
            # every layer of Whoosh has its own way to stumble over a damaged file
            raise BrokenIndexError(academy_id, type(error).__name__) from error
        try:
            _write(writer, documents)
        except BaseException as error:
            _abandon(writer)
            disk_is_at_fault = isinstance(error, OSError) and not isinstance(error, FileNotFoundError)
            if disk_is_at_fault or not isinstance(error, Exception):
                raise
            raise BrokenIndexError(academy_id, type(error).__name__) from error

    def _create(self, path: Path) -> None:
        """Make an empty index under another name first: a folder with an academy's name always holds an index."""
        new = self._folder / _NEW
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        FileIndex.create(DurableStorage(new), _SCHEMA)
        new.rename(path)
        sync(self._folder)


def _write(writer: Any, documents: list[Document]) -> None:
    # one reader for the whole batch; Whoosh's update_document opens one for each document
    with contextlib.closing(writer.reader()) as reader:
        for document in documents:
            if ("key", document.key) in reader:
                for number in reader.postings("key", document.key).all_ids():
                    writer.delete_document(number)
    for document in sorted(documents, key=lambda one: one.at):
        writer.add_document(
            key=document.key,
            at=document.at.timestamp(),
            day=document.at.astimezone(UTC).toordinal() - _EPOCH_DAY,
            category=document.category,
            level=str(document.level),
            text=" ".join(words_in(document.text)),
        )
    writer.commit()


def _abandon(writer: Any) -> None:
    with contextlib.suppress(Exception):
        writer.cancel()
    if not writer.is_closed:
        writer.writelock.release()
