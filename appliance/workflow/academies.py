"""Setting up trusts and academies: by hand, or from a GIAS download."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import BinaryIO

from sqlite_utils import Database

from appliance.exchange.gias import GiasAcademy, GiasError, GiasTrust, cut_short, read_trust
from appliance.safeguarding.access import Actor, NotAllowedError, Permission, is_trust_wide
from appliance.safeguarding.audit import SYSTEM, AuditEntry
from appliance.store import academies, people
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


class AcademyError(ValueError):
    """An academy or trust that can't be added. The message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an import would do. strays: academies of the trust here that the file doesn't have; they are kept."""

    added: tuple[people.Academy, ...]
    changed: tuple[people.Academy, ...]
    same: int
    strays: tuple[people.Academy, ...]


def read_download(file: BinaryIO, code: str) -> GiasTrust:
    """One trust's academies from a GIAS download. Raises AcademyError."""
    try:
        return read_trust(file, code)
    except GiasError as error:
        raise AcademyError(str(error)) from None


def pack(found: GiasTrust) -> str:
    """What was read, as text that a preview's form can carry."""
    return json.dumps(asdict(found))


def unpack(text: str) -> GiasTrust:
    """What ``pack`` wrote. Raises AcademyError for anything else."""
    try:
        data = json.loads(text)
        rows = tuple(
            GiasAcademy(*(str(row[name]) for name in ("urn", "laestab", "name", "phase"))) for row in data["academies"]
        )
        found = GiasTrust(str(data["code"]), str(data["name"]), rows, int(data["closed"]))
    except (ValueError, TypeError, KeyError):
        raise AcademyError("The preview did not come back whole. Send the file again.") from None
    if not all(one.name.strip() and one.urn.isdigit() for one in found.academies):
        raise AcademyError("The preview did not come back whole. Send the file again.")
    return found


def short_name(name: str) -> str:
    """A name cut at a word, for narrow places."""
    return cut_short(name)


def plan_import(db: Database, trust_id: str, found: GiasTrust) -> Plan:
    """Compare a GIAS download with the academies the trust has here. Raises AcademyError for one of another trust.

    An academy is known by its URN, or where it has none yet by its LAESTAB number; its id stays, and with it all that
    hangs on it.
    """
    here = academies.select_academies_of(db, trust_id)
    by_urn = {one.urn: one for one in here if one.urn}
    by_laestab = {one.laestab: one for one in here if one.laestab and not one.urn}
    added, changed, met = [], [], set()
    for one in found.academies:
        known = by_urn.get(one.urn) or by_laestab.get(one.laestab)
        if known is None:
            other = academies.get_academy_by_urn(db, one.urn)
            if other is not None:
                raise AcademyError(f"{one.name} (URN {one.urn}) belongs to another trust on this box.")
            added.append(
                people.Academy("", trust_id, one.name, one.short_name, one.urn, one.laestab or None, one.phase)
            )
            continue
        met.add(known.id)
        now_is = replace(known, name=one.name, urn=one.urn, laestab=one.laestab or known.laestab, phase=one.phase)
        if known.name != one.name:
            now_is = replace(now_is, short_name=one.short_name)
        if now_is != known:
            changed.append(now_is)
    strays = tuple(one for one in here if one.id not in met)
    return Plan(tuple(added), tuple(changed), len(met) - len(changed), strays)


def import_academies(
    db: Database, actor: Actor | None, trust_id: str, found: GiasTrust, now: datetime, new_id: Callable[[], str]
) -> Plan:
    """Add and bring up to date the academies of a trust. actor: None for the command line.

    Raises AcademyError, NotAllowedError.
    """
    _require_trust(actor, trust_id)
    by = actor.staff_id if actor else SYSTEM
    with transaction(db):
        trust = academies.get_trust(db, trust_id)
        if trust is None:
            raise NotAllowedError(f"trust {trust_id}")
        if trust.gias_code not in (None, found.code):
            raise AcademyError(f"{trust.name} has the code {trust.gias_code} in GIAS, and the file's is {found.code}.")
        other = academies.get_trust_by_code(db, found.code)
        if other is not None and other.id != trust_id:
            raise AcademyError(f"The code {found.code} belongs to another trust on this box.")
        plan = plan_import(db, trust_id, found)
        if trust.gias_code is None:
            academies.set_trust_code(db, trust_id, found.code)
            append_audit(db, AuditEntry(by, "trust:changed", f"trust:{trust_id}", None, now, {"gias_code": found.code}))
        for one in plan.added:
            _insert(db, replace(one, id=new_id()), by, now)
        for one in plan.changed:
            academies.set_academy_facts(db, one)
            append_audit(db, AuditEntry(by, "academy:changed", f"academy:{one.id}", one.id, now, {"urn": one.urn}))
    return plan


def add_trust(
    db: Database, name: str, gias_code: str | None, now: datetime, new_id: Callable[[], str]
) -> academies.Trust:
    """Add a trust from the command line. Raises AcademyError when the code is taken or there is no name."""
    if not name.strip():
        raise AcademyError("Give the trust's name.")
    with transaction(db):
        if gias_code and academies.get_trust_by_code(db, gias_code) is not None:
            raise AcademyError(f"A trust with the code {gias_code} is on this box already.")
        trust = academies.Trust(new_id(), name.strip(), gias_code)
        academies.insert_trust(db, trust)
        append_audit(db, AuditEntry(SYSTEM, "trust:added", f"trust:{trust.id}", None, now))
    return trust


def add_academy(db: Database, actor: Actor, academy: people.Academy, now: datetime) -> None:
    """Add an academy by hand to the actor's own trust. Raises AcademyError, NotAllowedError."""
    _require_trust(actor, academy.trust_id)
    if not academy.name.strip():
        raise AcademyError("Give the academy's name.")
    if academy.urn and not (academy.urn.isdigit() and len(academy.urn) == 6):
        raise AcademyError("A URN has six digits.")
    if academy.laestab and not (academy.laestab.isdigit() and len(academy.laestab) == 7):
        raise AcademyError("A LAESTAB number has seven digits: the local authority's three, and the school's four.")
    with transaction(db):
        if academy.urn and academies.get_academy_by_urn(db, academy.urn) is not None:
            raise AcademyError("An academy with this URN is on this box already.")
        _insert(db, academy, actor.staff_id, now)


def _insert(db: Database, academy: people.Academy, by: str, now: datetime) -> None:
    academies.insert_academy(db, academy)
    detail = {"trust": academy.trust_id, "urn": academy.urn}
    append_audit(db, AuditEntry(by, "academy:added", f"academy:{academy.id}", academy.id, now, detail))


def _require_trust(actor: Actor | None, trust_id: str) -> None:
    if actor is not None and not is_trust_wide(actor, Permission.ACADEMY_MANAGE, trust_id):
        raise NotAllowedError(f"trust {trust_id}")
