"""Devices, for the people who look after them; nothing of what a pupil wrote."""

from datetime import timedelta

from flask import Blueprint, render_template

from appliance.safeguarding.access import Permission
from appliance.store import devices
from appliance.web.clock import now
from appliance.web.gate import db, needs

pages = Blueprint("device", __name__)

SILENT_AFTER = timedelta(minutes=15)


@pages.get("/devices")
@needs(Permission.DEVICE_VIEW)
def show_devices() -> str:
    """Every device in reach, when it was last heard from, and messages that could not be taken in."""
    return render_template(
        "device/devices.html",
        devices=devices.select_devices(db()),
        rejected=devices.select_rejected_messages(db()),
        silent_before=now() - SILENT_AFTER,
    )
