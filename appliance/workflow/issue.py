"""Issuing a policy: what an academy's devices work by from now on."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.safeguarding.access import NotAllowedError
from appliance.safeguarding.audit import SYSTEM, AuditEntry, Detail
from appliance.safeguarding.policy import Policy, PolicyDraftError, make_policy
from appliance.store import devices, people, policies
from appliance.store.audit import append_audit
from appliance.store.connection import transaction


def issue_policy(
    db: Database,
    actor_id: str | None,
    academy_id: str,
    draft: Mapping[str, Any],
    sign: Callable[[bytes], str],
    now: datetime,
    new_id: Callable[[], str],
) -> Policy:
    """Number, sign and keep a policy for an academy; devices get it within seconds of it. On a system connection.

    sign: makes the signed envelope (JSON text) of a document. actor_id: None for the box's own command line. Raises
    PolicyDraftError with every fault of the draft, NotAllowedError where there is no such academy.
    """
    academy = next((one for one in people.select_academies(db) if one.id == academy_id), None)
    if academy is None:
        raise NotAllowedError(f"academy {academy_id}")
    with transaction(db):
        number = policies.get_policy_number(db, academy_id) + 1
        policy = make_policy(draft, academy_id, academy.name, number, now)
        envelope, policy_id, by = sign(policy.document.encode()), new_id(), actor_id or SYSTEM
        policies.insert_policy(db, policy_id, policy, envelope, by)
        devices.add_policy_rules(db, policy.rules)
        detail: Detail = {"number": number, "version": policy.version, "rules": len(policy.rules)}
        append_audit(db, AuditEntry(by, "policy:issued", f"policy:{policy_id}", academy_id, now, detail))
    return policy


__all__ = ["PolicyDraftError", "issue_policy"]
