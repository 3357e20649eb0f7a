"""The vault of records about staff, for the head and the chair of governors. To others it does not exist."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import RadioField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length

from appliance.safeguarding.access import Permission, academies_for
from appliance.safeguarding.concern import RecordError
from appliance.safeguarding.vault import VAULT_KINDS, NewVaultEntry, VaultKind
from appliance.store import people, vault
from appliance.web.clock import new_id, now
from appliance.web.gate import actor, db, needs
from appliance.workflow.vault import add_vault_note, enter_in_vault, note_vault_list, view_vault_entry

pages = Blueprint("vault", __name__)

_TEXT = Length(max=20_000)


class EntryForm(FlaskForm):
    """A record about a member of staff."""

    academy = SelectField("Academy", [InputRequired()])
    kind = RadioField(
        "What it is", choices=[(kind.value, words) for kind, words in VAULT_KINDS.items()], default=VaultKind.LOW_LEVEL
    )
    about = SelectField("Whom it is about", default="")
    name = StringField("Their name, if they are not in the list", [Length(max=200)])
    text = TextAreaField("What was reported or seen", [InputRequired("Write what was reported or seen."), _TEXT])


class NoteForm(FlaskForm):
    """Something added later."""

    text = TextAreaField("Add to it", [InputRequired("Write what is to be added."), _TEXT])


@pages.get("/vault")
@needs(Permission.VAULT_VIEW)
def show_vault() -> str:
    """The records in reach. That they were looked at is recorded, for the vault's own roles to see."""
    note_vault_list(db(), actor(), "list:vault", now())
    return render_template("vault/vault.html", entries=vault.select_vault_entries(db()), kinds=VAULT_KINDS)


@pages.get("/vault/new")
@needs(Permission.VAULT_RECORD)
def show_new_entry() -> str:
    """The form for a new record."""
    return render_template("vault/new.html", form=_entry_form(EntryForm(formdata=None)))


@pages.post("/vault/new")
@needs(Permission.VAULT_RECORD)
def submit_entry() -> Response | tuple[str, int]:
    """Keep a record about a member of staff."""
    form = _entry_form(EntryForm())
    if form.validate():
        about = people.get_staff(db(), form.about.data) if form.about.data else None
        entry = NewVaultEntry(
            new_id(),
            form.academy.data,
            VaultKind(form.kind.data),
            about.id if about else None,
            about.name if about else form.name.data or "",
            form.text.data or "",
        )
        try:
            enter_in_vault(db(), actor(), entry, now())
        except RecordError as error:
            form.about.errors = [str(error)]
        else:
            flash("The record is in the vault.", "done")
            return redirect(url_for("vault.show_entry", entry_id=entry.id))
    return render_template("vault/new.html", form=form), 422


@pages.get("/vault/<entry_id>")
@needs(Permission.VAULT_VIEW)
def show_entry(entry_id: str) -> str:
    """One record. That it was opened is recorded, for the vault's own roles to see."""
    return _page(view_vault_entry(db(), actor(), entry_id, now()), NoteForm(formdata=None))


@pages.post("/vault/<entry_id>/notes")
@needs(Permission.VAULT_RECORD)
def submit_note(entry_id: str) -> Response | tuple[str, int]:
    """Add to a record."""
    form = NoteForm()
    if form.validate():
        add_vault_note(db(), actor(), entry_id, form.text.data or "", now(), new_id)
        flash("It is added.", "done")
        return redirect(url_for("vault.show_entry", entry_id=entry_id))
    return _page(view_vault_entry(db(), actor(), entry_id, now()), form), 422


def _page(entry: vault.VaultEntry, form: NoteForm) -> str:
    notes = vault.select_vault_notes(db(), entry.id)
    return render_template("vault/entry.html", entry=entry, notes=notes, kinds=VAULT_KINDS, form=form)


def _entry_form(form: EntryForm) -> EntryForm:
    mine = academies_for(actor(), Permission.VAULT_RECORD)
    form.academy.choices = [(one.id, one.name) for one in people.select_academies(db()) if one.id in mine]
    staff = {one.id: one.name for academy_id in mine for one in people.select_staff_at(db(), academy_id, now())}
    staff.pop(actor().staff_id, None)
    form.about.choices = [("", "Not in the list"), *sorted(staff.items(), key=lambda one: one[1])]
    return form
