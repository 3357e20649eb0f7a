"""People and their roles: who may see what, who gave it, and taking it away."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import DateField, EmailField, SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from appliance.safeguarding.access import (
    ROLES,
    Grant,
    GrantError,
    NotAllowedError,
    Permission,
    Place,
    Role,
    academies_for,
    may_give,
    trusts_for,
)
from appliance.store import academies, grants, people
from appliance.web.clock import new_id, now
from appliance.web.entry import not_fresh
from appliance.web.gate import actor, db, needs
from appliance.workflow.grant import Given, NewGrant, add_person, end_grant, give_by_address, give_grant
from appliance.workflow.invite import invite_staff, may_invite
from appliance.workflow.switch import end_sessions_of, switch_account

pages = Blueprint("staff", __name__)

_GIVES = (Permission.STAFF_INVITE, Permission.STAFF_MANAGE)


@dataclass(frozen=True, slots=True)
class Held:
    """A grant as the page shows it. may_end: whether the person who looks may end it."""

    stored: grants.StoredGrant
    may_end: bool


class GrantForm(FlaskForm):
    """A role, where, and from when until when."""

    role = SelectField("Role", [InputRequired("Choose a role.")])
    place = SelectField("Where", [InputRequired("Choose where.")])
    starts_on = DateField("From", [Optional()])
    ends_on = DateField("Last day", [Optional()])


class PersonForm(GrantForm):
    """A new person with their first role."""

    name = StringField("Name", [InputRequired("Enter their name."), Length(max=200)])
    email = EmailField("E-mail address", [InputRequired("Enter their e-mail address."), Length(max=200)])


@pages.get("/roles")
@needs()
def show_roles() -> str:
    """What each role may do."""
    held = {grant.role for grant in actor().grants}
    return render_template("staff/roles.html", roles=ROLES, held=held, Place=Place)


@pages.get("/staff")
@needs(Permission.STAFF_VIEW)
def show_staff() -> str:
    """The people with a role at the academies in reach."""
    by_person: dict[str, list[grants.StoredGrant]] = {}
    for one in grants.select_grants_in_reach(db()):
        by_person.setdefault(one.staff_id, []).append(one)
    at = now()
    rows = [
        (staff, [one for one in by_person[staff.id] if not one.is_over(at)])
        for staff in grants.select_staff_in_reach(db())
    ]
    return render_template("staff/staff.html", rows=rows, roles=ROLES, may_add=_may_give_any())


@pages.get("/staff/new")
@needs(*_GIVES)
def show_new_person() -> str:
    """The form for a new person."""
    return render_template("staff/new.html", form=_choices(PersonForm(formdata=None)), roles=ROLES)


@pages.post("/staff/new")
@needs(*_GIVES)
def submit_person() -> Response | str | tuple[str, int]:
    """Make an account, and show the link by which the person makes it theirs. The link is shown this once.

    Who is on the box already, perhaps by another of its trusts, is given the role.
    """
    if (first := not_fresh(url_for("staff.show_new_person"))) is not None:
        return first
    form = _choices(PersonForm())
    if form.validate():
        person, new = people.Staff(new_id(), form.name.data or "", form.email.data or ""), _new_grant(form)
        try:
            given = give_by_address(db(), actor(), person, new, now(), new_id)
            if given is not None:
                return _after_giving(given)
            return _link_page(person, add_person(db(), actor(), person, new, now(), new_id))
        except GrantError as error:
            form.email.errors = [str(error)]
    return render_template("staff/new.html", form=form, roles=ROLES), 422


@pages.get("/staff/<staff_id>")
@needs(Permission.STAFF_VIEW)
def show_person(staff_id: str) -> str:
    """One person's roles, those that are over too."""
    return _page(staff_id, _choices(GrantForm(formdata=None)))


@pages.post("/staff/<staff_id>/grants")
@needs(*_GIVES)
def submit_grant(staff_id: str) -> Response | str | tuple[str, int]:
    """Give a person a role."""
    _get(staff_id)
    if (first := not_fresh(url_for("staff.show_person", staff_id=staff_id))) is not None:
        return first
    form = _choices(GrantForm())
    if form.validate():
        try:
            return _after_giving(give_grant(db(), actor(), staff_id, _new_grant(form), now(), new_id))
        except GrantError as error:
            form.role.errors = [str(error)]
    return _page(staff_id, form), 422


def _after_giving(given: Given) -> Response | str:
    if given.link is not None:
        return _link_page(_get(given.staff_id), given.link, anew=True)
    flash("The role is given. It works at their next click.", "done")
    return redirect(url_for("staff.show_person", staff_id=given.staff_id))


@pages.post("/grants/<grant_id>/end")
@needs(*_GIVES)
def submit_grant_end(grant_id: str) -> Response:
    """Take a role away. It no longer counts at the person's next click."""
    held = grants.get_grant(db(), grant_id)
    try:
        staff_id = end_grant(db(), actor(), grant_id, now())
        flash("The role has ended. It no longer counts at their next click.", "done")
    except GrantError as error:
        flash(str(error), "problem")
        staff_id = held.staff_id if held else ""
    return redirect(url_for("staff.show_person", staff_id=staff_id))


@pages.post("/staff/<staff_id>/link")
@needs(*_GIVES)
def submit_link(staff_id: str) -> Response | str:
    """Make a new sign-in link for a person; those made before stop working."""
    person = _in_hand(staff_id)
    if (first := not_fresh(url_for("staff.show_person", staff_id=staff_id))) is not None:
        return first
    return _link_page(person, invite_staff(db(), actor(), person.id, now(), new_id))


def _link_page(person: people.Staff, token: str, anew: bool = False) -> str:
    link = f"{current_app.config['TRUSTKEEP'].portal_url}{url_for('invite.show_invitation', token=token)}"
    return render_template("staff/link.html", whom=person, link=link, anew=anew)


@pages.post("/staff/<staff_id>/sign-out")
@needs(*_GIVES)
def submit_sign_out(staff_id: str) -> Response:
    """End all sessions of a person: they are out at their next click, wherever they are signed in."""
    _in_hand(staff_id)
    back = url_for("staff.show_person", staff_id=staff_id)
    if (first := not_fresh(back)) is not None:
        return first
    count = end_sessions_of(db(), actor(), staff_id, now())
    flash(f"They are signed out everywhere ({count} {'browser' if count == 1 else 'browsers'}).", "done")
    return redirect(back)


@pages.post("/staff/<staff_id>/switch")
@needs(*_GIVES)
def submit_switch(staff_id: str) -> Response:
    """Switch a person's account off, or on again, once it is confirmed."""
    _in_hand(staff_id)
    back, on = url_for("staff.show_person", staff_id=staff_id), request.form.get("to") == "on"
    if (first := not_fresh(back)) is not None:
        return first
    if request.form.get("sure") != "yes" or request.form.get("to") not in ("on", "off"):
        flash("Tick that you are sure, and press the button again.", "problem")
        return redirect(back)
    switch_account(db(), actor(), staff_id, on, now(), new_id)
    flash("The account is switched on." if on else "The account is switched off, and signed out everywhere.", "done")
    return redirect(back)


def _in_hand(staff_id: str) -> people.Staff:
    """A person whose account the one who asks may make anew, or switch off."""
    person = _get(staff_id)
    if not may_invite(db(), actor(), staff_id, now()):
        raise NotAllowedError(f"the account of {staff_id}")
    return person


def _get(staff_id: str) -> people.Staff:
    found = next((one for one in grants.select_staff_in_reach(db()) if one.id == staff_id), None)
    if found is None:
        raise NotAllowedError(f"staff {staff_id}")
    return found


def _may_give_any() -> bool:
    return any(academies_for(actor(), permission) for permission in _GIVES)


def _choices(form: GrantForm) -> GrantForm:
    """Offer the roles and places that the person who asks may give, and no others."""
    mine = academies_for(actor(), Permission.STAFF_MANAGE) | academies_for(actor(), Permission.STAFF_INVITE)
    trusts = sorted(trusts_for(actor(), Permission.STAFF_MANAGE))
    names = [(f"academy:{one.id}", one.name) for one in people.select_academies(db()) if one.id in mine]
    wholes = [trust for one in trusts if (trust := academies.get_trust(db(), one)) is not None]
    form.place.choices = [*((f"trust:{one.id}", f"The whole of {one.name}") for one in wholes), *names]
    places = [_grant(Role.STAFF, value) for value, _ in form.place.choices]
    form.role.choices = [
        (role.value, info.title)
        for role, info in ROLES.items()
        if any(may_give(actor(), Grant(role, at.trust_id, at.academy_id)) for at in places)
    ]
    return form


def _grant(role: Role, place: str) -> Grant:
    kind, _, place_id = place.partition(":")
    return Grant(role, trust_id=place_id) if kind == "trust" else Grant(role, academy_id=place_id)


def _new_grant(form: GrantForm) -> NewGrant:
    starts_at = _midnight(form.starts_on.data) if form.starts_on.data else now()
    ends_at = _midnight(form.ends_on.data + timedelta(days=1)) if form.ends_on.data else None
    return NewGrant(new_id(), _grant(Role(form.role.data), form.place.data), starts_at, ends_at)


def _midnight(day: date) -> datetime:
    """When a day begins at the school."""
    return datetime.combine(day, time(), ZoneInfo(current_app.config["TRUSTKEEP"].time_zone))


def _page(staff_id: str, form: GrantForm) -> str:
    person, at = _get(staff_id), now()
    held = [
        Held(one, not one.is_over(at) and one.staff_id != actor().staff_id and may_give(actor(), one.grant))
        for one in grants.select_grants_in_reach(db(), staff_id)
    ]
    return render_template(
        "staff/person.html",
        whom=person,
        held=held,
        form=form,
        roles=ROLES,
        may_give=_may_give_any() and staff_id != actor().staff_id,
        may_invite=may_invite(db(), actor(), staff_id, at),
    )
