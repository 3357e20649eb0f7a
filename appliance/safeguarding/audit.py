"""The audit entry and the hash that chains it to the one before.

Plain SHA-256 over a canonical form, with no secret: anyone given the file can check the chain, a court's expert
included. The head hash kept elsewhere is what makes a re-written chain show.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

GENESIS = "0" * 64
"""The previous hash of the first entry."""

SYSTEM = "system"
"""The actor of what the box did by itself."""

Detail = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done or looked at.

    kind: ``thing:done`` ("event:moderated"). subject: ``thing:id``. detail: ids and plain values, never a pupil's
    words. at: aware datetime in UTC. places: where it is told when no academy is named: ids of academies and trusts;
    left out, the store takes the trusts of its person.
    """

    actor_id: str
    kind: str
    subject: str
    academy_id: str | None
    at: datetime
    detail: Detail = field(default_factory=dict)
    places: tuple[str, ...] = ()


def detail_text(detail: Detail) -> str:
    """The detail as stored and hashed: JSON with sorted keys and no spaces."""
    return json.dumps(dict(detail), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def chain_hash(
    previous: str,
    seq: int,
    at: str,
    actor_id: str,
    kind: str,
    subject: str,
    academy_id: str | None,
    detail: str,
    places: str | None = None,
) -> str:
    """The hash of one stored entry: hex SHA-256 over the JSON array of all its columns and the previous hash.

    places: left out of the array where there are none, as entries older than the column were hashed.
    """
    fields = [previous, seq, at, actor_id, kind, subject, academy_id, detail, *([] if places is None else [places])]
    return hashlib.sha256(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ChainFault:
    """The first place where a chain breaks. seq: the entry's number, or where one is missing."""

    seq: int
    reason: str


def find_fault(rows: Iterable[Mapping[str, object]], head: tuple[int, str]) -> ChainFault | None:
    """Walk stored entries in order of seq and return the first break, or None when the chain holds.

    rows: mappings with the audit table's columns. head: the last seq and hash the box keeps beside the chain.
    """
    previous, expected = GENESIS, 1
    for row in rows:
        seq = int(str(row["seq"]))
        if seq != expected:
            return ChainFault(expected, f"entry {expected} is missing (the next one is {seq})")
        academy = row["academy_id"]
        digest = chain_hash(
            previous,
            seq,
            str(row["at"]),
            str(row["actor_id"]),
            str(row["kind"]),
            str(row["subject"]),
            None if academy is None else str(academy),
            str(row["detail"]),
            None if row["places"] is None else str(row["places"]),
        )
        if row["previous_hash"] != previous:
            return ChainFault(seq, f"entry {seq} does not follow the one before it")
        if row["hash"] != digest:
            return ChainFault(seq, f"entry {seq} was changed after it was written")
        previous, expected = digest, seq + 1
    if (expected - 1, previous) != (head[0], head[1] if head[0] else GENESIS):
        return ChainFault(expected, f"entries after {expected - 1} are missing")
    return None
