"""Devices, for the people who look after them; nothing of what a pupil wrote."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length, Regexp

from appliance.safeguarding.access import NotAllowedError, Permission, academies_for
from appliance.safeguarding.device import (
    HELD_FOR,
    SILENT_AFTER,
    DeviceState,
    Heartbeat,
    Standing,
    clock_skew,
    faults,
    state_of,
)
from appliance.safeguarding.enrolment import CODE_CHANCE
from appliance.store import devices, enrolment, people, policies, sequences
from appliance.web.clock import new_id, now
from appliance.web.gate import actor, db, needs
from appliance.workflow.enrol import make_enrolment_code, revoke_device, withdraw_enrolment_code
from appliance.workflow.hear import ask_to_resend
from appliance.workflow.ingest import UnknownDeviceError

pages = Blueprint("device", __name__)

SHOWN_AT_MOST = 200
"""Rows of one table; more than that nobody reads, and the filter finds the one that is looked for."""
POLICY_GRACE = timedelta(minutes=10)
"""How long a new policy may take to reach a device before that is a fault."""
CODES_SHOWN_FOR = timedelta(days=14)

PLATFORMS = {
    "linux-x11": "Linux",
    "windows": "Windows",
    "macos": "Mac",
    "browser": "Browser",
    "replay": "Recorded day",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A device as the pages show it."""

    device: devices.Device
    state: DeviceState
    faults: tuple[str, ...]
    beat: Heartbeat | None
    heard_at: datetime | None
    missing: tuple[sequences.Missing, ...]
    policy: policies.IssuedPolicy | None
    certificate_ends_at: datetime | None

    @property
    def missing_count(self) -> int:
        return sum(one.count for one in self.missing)

    @property
    def skew(self) -> timedelta | None:
        return clock_skew(self.beat, self.heard_at) if self.beat and self.heard_at else None

    @property
    def platform(self) -> str:
        name = self.beat.platform if self.beat else None
        return PLATFORMS.get(name, name) if name else ""


class CodeForm(FlaskForm):
    """A code for one device."""

    academy = SelectField("Academy", [InputRequired()])
    place = StringField("Where the device is kept", [Length(max=100)])
    prefix = StringField(
        "What its name on the box begins with",
        [Length(max=24), Regexp(r"[A-Za-z0-9 -]*$", message="Use letters, digits and dashes.")],
    )


@pages.get("/devices")
@needs(Permission.DEVICE_VIEW)
def show_devices() -> str:
    """Every device in reach, how it stands, and messages that could not be taken in."""
    at, wanted = now(), request.args.get("q", "").strip()
    rows = _rows(at)
    found = [row for row in rows if _matches(row, wanted)]
    groups = {state: [row for row in found if row.state is state] for state in DeviceState}
    return render_template(
        "device/devices.html",
        rows=rows,
        found=found,
        groups=groups,
        wanted=wanted,
        shown_at_most=SHOWN_AT_MOST,
        silent_after=SILENT_AFTER,
        rejected=devices.select_rejected_messages(db()),
    )


@pages.get("/devices/<device_id>")
@needs(Permission.DEVICE_VIEW)
def show_device(device_id: str) -> str:
    """One device: what it said of itself last, what is missing, and what was asked of it."""
    row = _row(device_id)
    commands = devices.select_commands(db(), device_id, now() - 7 * HELD_FOR)
    asked_by = {one.asked_by: people.get_staff(db(), one.asked_by) for one in commands}
    return render_template("device/device.html", row=row, commands=commands, asked_by=asked_by)


@pages.post("/devices/<device_id>/resend")
@needs(Permission.DEVICE_MANAGE)
def submit_resend(device_id: str) -> Response:
    """Ask a device to send again what is missing."""
    if ask_to_resend(db(), actor(), device_id, now(), new_id):
        flash("The device is asked as soon as it is heard from. What it still has comes again by itself.", "done")
    else:
        flash("Nothing is missing of this device, so there is nothing to ask for.", "problem")
    return redirect(url_for("device.show_device", device_id=device_id))


@pages.get("/devices/<device_id>/revoke")
@needs(Permission.DEVICE_MANAGE)
def show_revocation(device_id: str) -> str:
    """Whether a device is really to be shut out."""
    return render_template("device/revoke.html", row=_row(device_id))


@pages.post("/devices/<device_id>/revoke")
@needs(Permission.DEVICE_MANAGE)
def submit_revocation(device_id: str) -> Response | tuple[str, int]:
    """Shut a device out, once the person has said so on the page before."""
    row = _row(device_id)
    if request.form.get("sure") != "yes":
        flash("Nothing was done. Tick that you are sure, then send it again.", "problem")
        return render_template("device/revoke.html", row=row), 422
    try:
        revoke_device(db(), actor(), device_id, now())
    except UnknownDeviceError:
        flash("The device was revoked before.", "problem")
    else:
        flash(f"{device_id} is revoked. The broker shuts it out within seconds; this page says when.", "done")
    return redirect(url_for("device.show_device", device_id=device_id))


# -- codes. Their address is not below /devices/, where any name may be a device's


@pages.get("/enrolment-codes")
@needs(Permission.DEVICE_MANAGE)
def show_codes() -> str:
    """The codes made lately, and the form for a new one."""
    return _codes_page(_choices(CodeForm(formdata=None)))


@pages.post("/enrolment-codes")
@needs(Permission.DEVICE_MANAGE)
def submit_code() -> str | tuple[str, int]:
    """Make a code, and show it this once."""
    form = _choices(CodeForm())
    if form.validate():
        place, prefix = (form.place.data or "").strip(), (form.prefix.data or "").strip()
        chance = secrets.token_bytes(CODE_CHANCE)
        code = make_enrolment_code(db(), actor(), form.academy.data, place, prefix, now(), chance)
        academy = people.get_academy_name(db(), form.academy.data)
        return render_template("device/code.html", code=code, academy=academy, place=place, box=request.host)
    return _codes_page(form), 422


@pages.post("/enrolment-codes/<code_id>/withdraw")
@needs(Permission.DEVICE_MANAGE)
def submit_withdrawal(code_id: str) -> Response:
    """Withdraw a code."""
    withdraw_enrolment_code(db(), actor(), code_id, now())
    flash("The code works no more.", "done")
    return redirect(url_for("device.show_codes"))


def _codes_page(form: CodeForm) -> str:
    codes = enrolment.select_codes(db(), now() - CODES_SHOWN_FOR)
    makers = {one.made_by: people.get_staff(db(), one.made_by) for one in codes}
    names = {one.id: one.short_name for one in people.select_academies(db())}
    return render_template("device/codes.html", form=form, codes=codes, makers=makers, names=names)


def _choices(form: CodeForm) -> CodeForm:
    mine = academies_for(actor(), Permission.DEVICE_MANAGE)
    form.academy.choices = [(one.id, one.name) for one in people.select_academies(db()) if one.id in mine]
    return form


def _matches(row: Row, wanted: str) -> bool:
    device = row.device
    fields = (device.id, device.name, device.place, device.academy_name, *row.faults)
    return not wanted or any(wanted.casefold() in field.casefold() for field in fields)


def _row(device_id: str) -> Row:
    device = devices.get_device(db(), device_id)
    if device is None:
        raise NotAllowedError(f"device {device_id}")
    return next(row for row in _rows(now(), device) if row.device.id == device_id)


def _rows(at: datetime, only: devices.Device | None = None) -> list[Row]:
    device_id = only.id if only else None
    beats = devices.select_heartbeats(db(), device_id)
    missing: dict[str, list[sequences.Missing]] = {}
    for one in sequences.select_missing(db(), at, device_id):
        missing.setdefault(one.device_id, []).append(one)
    settled = policies.select_policies(db(), at - POLICY_GRACE)
    in_force = policies.select_policies(db())
    ends = enrolment.select_certificate_ends(db())
    rows = []
    for device in [only] if only else devices.select_devices(db()):
        beat, heard_at = beats.get(device.id, (None, None))
        known = settled.get(device.academy_id)
        standing = Standing(
            device.enrolled_at,
            device.revoked_at,
            device.last_seen_at,
            beat,
            heard_at,
            sum(one.count for one in missing.get(device.id, [])),
            known.number if known else None,
            ends.get(device.id),
        )
        rows.append(
            Row(
                device,
                state_of(standing, at),
                faults(standing, at),
                beat,
                heard_at,
                tuple(missing.get(device.id, ())),
                in_force.get(device.academy_id),
                ends.get(device.id),
            )
        )
    return rows
