"""A sealed capture is shown to nobody, and neither is one that the box has not looked at yet."""

from appliance.safeguarding.access import Role
from appliance.store import captures
from appliance.workflow.seal import seal_capture
from tests.factories import NOW, Box
from tests.web.test_gate import SignIn


def test_a_sealed_capture_is_refused_and_the_page_says_why(box: Box, signed_in: SignIn) -> None:
    dsl = box.staff(Role.DSL, academy_id="ashby")
    event_id = box.assessed()
    capture = captures.get_capture(box.db, event_id)
    assert capture is not None
    there = signed_in(dsl)
    assert there.post(f"/events/{event_id}/capture").status_code == 200
    seal_capture(box.db, capture.sha256, "On the trust's list of known images", NOW)
    refused = there.post(f"/events/{event_id}/capture")
    assert refused.status_code == 423 and "On the trust&#39;s list" in refused.text
    page = there.get(f"/events/{event_id}").text
    assert "Nobody is shown this screenshot" in page and "Show the screenshot" not in page
    assert there.get(f"/events/{event_id}/preview").status_code == 404
    count = "SELECT count(*) FROM audit WHERE kind = 'capture:refused' AND subject = ?"
    assert box.db.conn.execute(count, [f"event:{event_id}"]).fetchone() == (1,)


def test_a_capture_that_was_not_looked_at_yet_is_not_shown(box: Box, signed_in: SignIn) -> None:
    there = signed_in(box.staff(Role.DSL, academy_id="ashby"))
    event_id = box.received()
    assert there.post(f"/events/{event_id}/capture").status_code == 423
