"""The door at which a device with an enrolment code is taken on. Open to the network: the code is the only key."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from flask import Blueprint, current_app, request
from flask.wrappers import Response
from werkzeug.exceptions import RequestEntityTooLarge

from appliance.config import Config
from appliance.web.clock import now
from appliance.web.entry import json_answer, visit
from appliance.web.gate import public

Desk = Callable[[Any, str, Any], tuple[int, Mapping[str, Any]]]
"""Takes the request as parsed JSON, the address it came from and the time; gives a status and the answer's fields."""

REQUEST_AT_MOST = 16_000
"""Bytes."""

pages = Blueprint("enrolment", __name__)


def no_desk(_request: Any, _address: str, _now: Any) -> tuple[int, Mapping[str, Any]]:
    """Stands in a portal that was started without the box's keys."""
    return 422, {"error": "Devices can't be enrolled at this portal."}


@pages.get("/enrol/ca.pem")
@public
def show_authority() -> Response:
    """The certificate of the box's authority, for a device that knows its fingerprint. It is no secret."""
    config = cast(Config, current_app.config["TRUSTKEEP"])
    return Response((config.keys / "ca.crt").read_bytes(), mimetype="application/x-pem-file")


@pages.post("/enrol")
@public
def submit_enrolment() -> Response:
    """Take on a device: JSON in, JSON out. The request's form is the wire contract's, docs/devices.md."""
    try:
        fields = request.get_json(force=True, silent=True) if request.content_length is not None else None
    except RequestEntityTooLarge:
        return json_answer(413, error=f"The request is larger than {REQUEST_AT_MOST:,} bytes.")
    desk = cast(Desk, current_app.extensions["desk"])
    status, answer = desk(fields, visit().address, now())
    return json_answer(status, **answer)
