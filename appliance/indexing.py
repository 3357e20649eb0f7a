"""Keeping the search index in step with the record, for the worker and for `appliance reindex`, one at a time."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from sqlite_utils import Database

from appliance.config import Config
from appliance.safeguarding.event import EventState
from appliance.search.index import BrokenIndexError, Document, Indexer
from appliance.store import concerns, events, people
from appliance.store.connection import open_system, transaction
from appliance.store.migrations import require_current

Say = Callable[[str], None]

BATCH = 50
REBUILD_BATCH = 500
"""A commit costs some 20 ms however little it holds, and a batch makes one for every academy in it."""


def start_indexing(config: Config, db: Database, say: Say) -> Indexer:
    """An indexer for whoever has just taken the index lock: what a stopped one left half done is taken in again."""
    indexer = Indexer(config.index)
    with transaction(db):
        events.set_all_events_unindexed(db, only_unfinished=True)
        concerns.set_all_concerns_unindexed(db, only_unfinished=True)
    while True:
        try:
            indexer.check([academy.id for academy in people.select_academies(db)])
        except BrokenIndexError as broken:
            _begin_again(indexer, db, broken, say)
        else:
            return indexer


def index_once(indexer: Indexer, db: Database, now: datetime, say: Say) -> int:
    """Take one batch into the index; returns how many. Call it under the index lock.

    A broken index is thrown away, everything is marked to be taken in again, and BrokenIndexError is raised so that
    the caller doesn't go on at once. Raises OSError when the disk does not take it.
    """
    if not indexer.is_current():
        _mark_all_unindexed(db)
        indexer.wipe()
        say("the search index is built anew")
    limit = REBUILD_BATCH if indexer.is_rebuilding() else BATCH
    with transaction(db):
        found_events = events.claim_unindexed_events(db, limit)
        found_concerns = concerns.claim_unindexed_concerns(db, limit)
    documents = [_document("event", one, one.occurred_at) for one in found_events]
    documents += [_document("concern", one, one.opened_at) for one in found_concerns]
    if not documents:
        indexer.finish_rebuild()
        return 0
    try:
        indexer.update(documents)
    except BrokenIndexError as broken:
        _begin_again(indexer, db, broken, say)
        raise
    except Exception:
        with transaction(db):
            events.set_all_events_unindexed(db, only_unfinished=True)
            concerns.set_all_concerns_unindexed(db, only_unfinished=True)
        raise
    with transaction(db):
        events.set_events_indexed(db, [one.id for one in found_events], now)
        concerns.set_concerns_indexed(db, [one.id for one in found_concerns], now)
    return len(documents)


def _document(kind: str, one: events.IndexableEvent | concerns.IndexableConcern, at: datetime) -> Document:
    return Document(kind, one.id, one.academy_id, at, one.category, int(one.level), one.text)


def _begin_again(indexer: Indexer, db: Database, broken: BrokenIndexError, say: Say) -> None:
    _mark_all_unindexed(db)
    indexer.throw_away(broken.academy_id)
    say(f"{broken}; it is built anew")


def _mark_all_unindexed(db: Database) -> None:
    with transaction(db):
        events.set_all_events_unindexed(db, only_unfinished=False)
        concerns.set_all_concerns_unindexed(db, only_unfinished=False)


def reindex(config: Config, say: Say) -> None:
    """Build the search index anew. While a worker runs, it is the worker that does it."""
    config.run.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(open_system(config.database)) as db, index_lock(config) as held:
        require_current(db)
        indexer = Indexer(config.index)
        indexer.ask_for_rebuild()
        if not held:
            say("A worker is running; it builds the search index anew from now on. Search keeps working meanwhile.")
            return
        begun = datetime(1, 1, 2, tzinfo=UTC)
        counts = events.count_by_state(db, begun)
        total = sum(counts.values()) - counts.get(EventState.RECEIVED, 0) - counts.get(EventState.ASSESSING, 0)
        done = 0
        while batch := index_once(indexer, db, datetime.now(UTC), say):
            done += batch
            say(f"taken in: {done} of {total} events and all concerns")


@contextlib.contextmanager
def index_lock(config: Config) -> Iterator[bool]:
    """Whether this program now holds the right to tell people and to index. The lock goes with the program."""
    handle = os.open(config.run / "index.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
