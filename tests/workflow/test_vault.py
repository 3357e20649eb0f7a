"""Whom an entry of the vault is kept from, whatever way they are named in it."""

import pytest

from appliance.safeguarding.access import Role
from appliance.safeguarding.concern import RecordError
from appliance.safeguarding.vault import NewVaultEntry, VaultKind
from appliance.store import vault
from appliance.workflow.vault import enter_in_vault
from tests.factories import NOW, Box


def entry(name: str) -> NewVaultEntry:
    return NewVaultEntry(f"entry {name}", "ashby", VaultKind.ALLEGATION, None, name, "Reported by a parent.")


@pytest.mark.parametrize(
    "typed",
    ["Hedda O'Head", "hedda  o’head", "O'Head, Hedda", "Mrs Hedda O'Head", "O'Head", "The head teacher",
     "Headteacher", "our head"],
)  # fmt: skip
def test_a_head_whose_name_or_office_is_typed_does_not_see_the_entry(box: Box, typed: str) -> None:
    head = box.staff(Role.HEAD, academy_id="ashby", name="Hedda O'Head")
    chair = box.staff(Role.CHAIR, academy_id="ashby", name="Charlie Board")
    enter_in_vault(box.open_as(chair), chair, entry(typed), NOW)
    assert vault.select_vault_entries(box.open_as(head)) == []
    (kept,) = vault.select_vault_entries(box.open_as(chair))
    assert kept.about_name == typed


@pytest.mark.parametrize("typed", ["Hedda Smith", "Bob O'Head", "A visiting coach", "Headley Park coach"])
def test_an_entry_about_somebody_else_is_seen_by_the_head(box: Box, typed: str) -> None:
    head = box.staff(Role.HEAD, academy_id="ashby", name="Hedda O'Head")
    chair = box.staff(Role.CHAIR, academy_id="ashby", name="Charlie Board")
    enter_in_vault(box.open_as(chair), chair, entry(typed), NOW)
    assert [one.about_name for one in vault.select_vault_entries(box.open_as(head))] == [typed]


def test_a_name_that_could_be_either_of_two_heads_is_asked_back(box: Box) -> None:
    for name in ("Hedda Oak", "Henry Oak"):
        box.staff(Role.HEAD, academy_id="ashby", name=name)
    chair = box.staff(Role.CHAIR, academy_id="ashby", name="Charlie Board")
    for typed in ("Oak", "the head"):
        with pytest.raises(RecordError, match="Choose them in the list"):
            enter_in_vault(box.open_as(chair), chair, entry(typed), NOW)
    assert box.db.conn.execute("SELECT count(*) FROM vault_entry").fetchone() == (0,)


def test_nobody_keeps_a_record_about_themselves_by_typing_their_name(box: Box) -> None:
    head = box.staff(Role.HEAD, academy_id="ashby", name="Hedda Oak")
    with pytest.raises(RecordError, match="yourself"):
        enter_in_vault(box.open_as(head), head, entry("Hedda Oak"), NOW)
