"""A capture's preview, and the capture itself once somebody asks to see it."""

from typing import cast

from flask import Blueprint, Response, abort, current_app, render_template

from appliance.safeguarding.access import Permission
from appliance.store import captures
from appliance.store.captures import CaptureDamagedError, CaptureVault
from appliance.web.clock import now
from appliance.web.gate import actor, db, needs
from appliance.workflow.look import CaptureSealedError, reveal_capture

pages = Blueprint("capture", __name__)


@pages.get("/events/<event_id>/preview")
@needs(Permission.EVENT_VIEW)
def show_preview(event_id: str) -> Response:
    """A few grey pixels: that there is a picture, and nothing of what is on it."""
    preview = captures.get_preview(db(), event_id)
    if preview is None:
        abort(404)
    return Response(preview, mimetype="image/png")


@pages.post("/events/<event_id>/capture")
@needs(Permission.CAPTURE_REVEAL)
def submit_reveal(event_id: str) -> Response | tuple[str, int]:
    """The capture itself. A POST, because revealing is recorded."""
    vault = cast(CaptureVault, current_app.extensions["vault"])
    try:
        capture, image = reveal_capture(db(), vault, actor(), event_id, now())
    except CaptureSealedError as error:
        return render_template("error.html", title="This screenshot is not shown", detail=str(error), code=423), 423
    except CaptureDamagedError as error:
        return render_template("error.html", title="The screenshot can't be opened", detail=str(error), code=410), 410
    return Response(image, mimetype=capture.media_type, headers={"Content-Disposition": "inline"})
