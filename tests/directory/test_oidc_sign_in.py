"""Signing in through a real OpenID Connect provider, and each way in which its answer is refused."""

import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from appliance.config import SettingsError
from appliance.directory.oidc import vouched_emails
from appliance.safeguarding.access import Role
from appliance.safeguarding.directory import Refusal
from appliance.safeguarding.sign_in import HERE
from appliance.store import directory
from appliance.web.app import create_app
from appliance.workflow.directory import unlink_directory
from tests.directory.conftest import (
    BACK,
    CLIENT_ID,
    CLIENT_SECRET,
    RunningProvider,
    begin,
    failures,
    follow,
    methods,
    start_provider,
    through_provider,
    with_provider,
)
from tests.factories import NOW, Box
from tests.web.conftest import Visitor

Invite = Callable[[str], str]

HANNAH = {"sub": "id-of-hannah", "email": "hannah@school.example", "email_verified": True}


def refused(visitor: Visitor, box: Box, path: str) -> str:
    """Go back to the portal, hold that it refuses with a clear page and an entry; why."""
    before = len(failures(box))
    response = visitor.get(path)
    page = response.get_data(as_text=True)
    assert response.status_code in (403, 503), page
    assert "You are not signed in" in page and "Go to the sign-in page" in page
    entries = failures(box)
    assert len(entries) == before + 1
    assert methods(box) == []
    assert visitor.get("/queue").headers["Location"].startswith("/sign-in")
    why = entries[-1][2].partition(":")[0]
    assert f"“{why}”" in page
    return why


def test_a_dsl_signs_in_and_the_second_factor_follows(
    at_provider: Visitor, provider: RunningProvider, box: Box, invited: Invite
) -> None:
    staff_id = invited("hannah@school.example")
    provider.switch(person={**HANNAH, "email": "Hannah@School.Example"})
    response = through_provider(at_provider, "/queue")
    assert (response.status_code, response.headers["Location"]) == (302, "/queue")
    assert methods(box) == [(staff_id, "oidc")]
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE actor_id = ?", [staff_id])]
    assert kinds[-2:] == ["directory:linked", "staff:signed_in"]
    for path in ("/queue", "/", "/pupils"):
        asked = at_provider.get(path)
        assert asked.status_code == 302 and asked.headers["Location"].startswith("/second-factor"), path
    at_provider.get("/second-factor")
    response = at_provider.post("/second-factor", code=at_provider.code(box.actor(staff_id)), next="/queue")
    assert (response.status_code, response.headers["Location"]) == (302, "/queue")
    assert at_provider.get("/queue").status_code == 200


def test_the_portal_asks_as_it_should(at_provider: Visitor, provider: RunningProvider) -> None:
    response = at_provider.get("/sign-in/provider")
    parts = urlsplit(response.headers["Location"])
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{provider.issuer}/authorize"
    assert asked["client_id"] == CLIENT_ID and asked["redirect_uri"] == BACK
    assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) >= 43 and len(asked["nonce"]) >= 43 and asked["state"] != asked["nonce"]
    assert CLIENT_SECRET not in response.headers["Location"]
    follow(response.headers["Location"])
    assert all("secret" not in path and "verifier" not in path for path in provider.seen())


def test_the_box_asks_the_provider_nothing_until_somebody_signs_in(provider: RunningProvider, box: Box) -> None:
    before = len(provider.seen())
    visitor = Visitor(create_app(with_provider(box.config, provider.issuer)))
    page = visitor.get("/sign-in").get_data(as_text=True)
    assert "/sign-in/provider" in page and "/sign-in/directory" not in page
    assert len(provider.seen()) == before


def test_without_a_directory_there_are_no_such_pages(box: Box) -> None:
    visitor = Visitor(create_app(box.config))
    page = visitor.get("/sign-in").get_data(as_text=True)
    assert "/sign-in/provider" not in page and "/sign-in/directory" not in page
    for path in ("/sign-in/provider", "/sign-in/provider/back?code=1&state=2", "/sign-in/directory"):
        assert visitor.get(path).status_code == 404, path


WRONG = {
    "audience": ({"aud": "another program"}, Refusal.AUDIENCE),
    "audience of two without a party": ({"aud": [CLIENT_ID, "another program"], "azp": None}, Refusal.AUDIENCE),
    "another party": ({"aud": [CLIENT_ID, "another program"], "azp": "another program"}, Refusal.AUDIENCE),
    "another audience asked for by us": ({"aud": "another program", "azp": CLIENT_ID}, Refusal.AUDIENCE),
    "no audience": ({"aud": None}, Refusal.AUDIENCE),
    "issuer": ({"iss": "https://login.elsewhere.example"}, Refusal.ISSUER),
    "no issuer": ({"iss": None}, Refusal.ISSUER),
    "expired": ({"exp": 1_600_000_000}, Refusal.EXPIRED),
    "never expires": ({"exp": None}, Refusal.TOKEN),
    "expires in words": ({"exp": "tomorrow"}, Refusal.TOKEN),
    "from the future": ({"iat": 4_000_000_000, "exp": 4_000_000_300}, Refusal.TOKEN),
    "nonce": ({"nonce": "the nonce of another sign-in"}, Refusal.NONCE),
    "no nonce": ({"nonce": None}, Refusal.NONCE),
    "nobody": ({"sub": None}, Refusal.TOKEN),
    "empty subject": ({"sub": ""}, Refusal.TOKEN),
    "access token's hash": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, Refusal.TOKEN),
    "unverified e-mail": ({"email_verified": False}, Refusal.UNVERIFIED),
    "unverified e-mail in words": ({"email_verified": "false"}, Refusal.UNVERIFIED),
    "e-mail nobody vouches for": ({"email_verified": None}, Refusal.UNVERIFIED),
    "no e-mail": ({"email": None}, Refusal.UNVERIFIED),
    "nobody's e-mail": ({"email": "pupil@school.example"}, Refusal.UNKNOWN),
    "letters that look alike": ({"email": "hannah@s\u0441hool.example"}, Refusal.UNVERIFIED),
    "a letter that becomes another": ({"email": "\u212aim@school.example"}, Refusal.UNVERIFIED),
}


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.replace(" ", "-"))
def test_a_token_with_a_wrong_claim_is_refused(
    at_provider: Visitor, provider: RunningProvider, box: Box, invited: Invite, case: str
) -> None:
    claims, refusal = WRONG[case]
    invited("hannah@school.example")
    invited("kim@school.example")
    provider.switch(person=HANNAH, claims=claims)
    assert refused(at_provider, box, begin(at_provider)) == refusal
    assert box.db.conn.execute("SELECT count(*) FROM directory_link").fetchone() == (0,)


@pytest.mark.parametrize(
    ("switches", "refusal"),
    [
        ({"sign_with": "other"}, Refusal.SIGNATURE),
        ({"algorithm": "none"}, Refusal.ALGORITHM),
        ({"algorithm": "HS256"}, Refusal.ALGORITHM),
        ({"id_token": False}, Refusal.TOKEN),
        ({"state": "another browser's"}, Refusal.STATE),
        ({"answer_issuer": "https://login.elsewhere.example"}, Refusal.ISSUER),
        ({"error": "access_denied"}, Refusal.CANCELLED),
        ({"broken": "token"}, Refusal.UNREACHABLE),
        ({"broken": "keys"}, Refusal.UNREACHABLE),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_an_answer_that_is_not_in_order_is_refused(
    at_provider: Visitor,
    provider: RunningProvider,
    box: Box,
    invited: Invite,
    switches: dict[str, object],
    refusal: Refusal,
) -> None:
    invited("hannah@school.example")
    provider.switch(person=HANNAH, **switches)
    assert refused(at_provider, box, begin(at_provider)) == refusal


def test_a_replayed_answer_is_refused(
    at_provider: Visitor, oidc_app: Flask, provider: RunningProvider, box: Box, invited: Invite
) -> None:
    invited("hannah@school.example")
    provider.switch(person=HANNAH)
    back = begin(at_provider)
    assert refused(Visitor(oidc_app), box, back) == Refusal.STATE  # in a browser that never began
    assert at_provider.get(back).status_code == 302
    assert at_provider.get(back).status_code == 403  # in the browser itself, once more
    assert failures(box)[-1][2] == Refusal.STATE


def test_a_code_that_was_used_is_refused(
    at_provider: Visitor, oidc_app: Flask, provider: RunningProvider, box: Box, invited: Invite
) -> None:
    invited("hannah@school.example")
    provider.switch(person=HANNAH)
    back = begin(at_provider)
    assert at_provider.get(back).status_code == 302
    box.db.conn.execute("DELETE FROM session")
    code = re.search("code=([^&]+)", back)
    stranger = Visitor(oidc_app)
    own = begin(stranger)
    assert code is not None
    assert refused(stranger, box, re.sub("code=[^&]+", f"code={code[1]}", own)) == Refusal.CODE


def test_a_sign_in_is_finished_once_even_where_the_provider_takes_a_code_twice(
    at_provider: Visitor, oidc_app: Flask, provider: RunningProvider, box: Box, invited: Invite
) -> None:
    invited("hannah@school.example")
    provider.switch(person=HANNAH, reuse_codes=True)
    back = begin(at_provider)
    kept = at_provider._client.get_cookie("__Host-trustkeep")
    assert kept is not None and at_provider.get(back).status_code == 302
    box.db.conn.execute("DELETE FROM session")
    thief = Visitor(oidc_app)  # with the cookie and the address of the one who signed in
    thief._client.set_cookie("__Host-trustkeep", kept.value, secure=True)
    assert refused(thief, box, back) == Refusal.REPLAYED


def test_a_disabled_account_is_refused_before_and_after_it_is_tied(
    at_provider: Visitor, oidc_app: Flask, provider: RunningProvider, box: Box, invited: Invite
) -> None:
    staff_id = invited("hannah@school.example")
    provider.switch(person=HANNAH)
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-01' WHERE id = ?", [staff_id])
    assert refused(at_provider, box, begin(at_provider)) == Refusal.DISABLED
    box.db.conn.execute("UPDATE staff SET disabled_at = NULL WHERE id = ?", [staff_id])
    assert through_provider(at_provider).status_code == 302
    box.db.conn.execute("DELETE FROM session")
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-01' WHERE id = ?", [staff_id])
    assert refused(Visitor(oidc_app), box, begin(visitor := Visitor(oidc_app))) == Refusal.STATE
    assert refused(visitor, box, begin(visitor)) == Refusal.DISABLED
    assert failures(box)[-1][:2] == ("nobody", f"staff:{staff_id}")


def test_the_tie_is_to_the_person_and_not_to_the_address(
    oidc_app: Flask, provider: RunningProvider, box: Box, invited: Invite
) -> None:
    staff_id = invited("hannah@school.example")
    provider.switch(person=HANNAH)
    assert through_provider(Visitor(oidc_app)).status_code == 302
    # she marries, and the provider no longer vouches for anything: it is still her
    provider.switch(person={"sub": "id-of-hannah", "email": "h.newname@school.example", "email_verified": False})
    assert through_provider(Visitor(oidc_app)).status_code == 302
    assert methods(box) == [(staff_id, "oidc")] * 2
    box.db.conn.execute("DELETE FROM session")
    # her old address goes to somebody new
    provider.switch(person={**HANNAH, "sub": "id-of-somebody-new"})
    visitor = Visitor(oidc_app)
    assert refused(visitor, box, begin(visitor)) == Refusal.OTHER_ACCOUNT
    # a technician unties it, after asking who it is
    assert unlink_directory(box.db, "system", staff_id, NOW) == 1
    assert through_provider(visitor).status_code == 302
    assert [link.subject for link in directory.select_links(box.db, staff_id)] == ["id-of-somebody-new"]
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE kind LIKE 'directory:%'")]
    assert kinds == ["directory:linked", "directory:unlinked", "directory:linked"]


def test_nobody_is_let_in_or_made_because_the_directory_knows_them(
    at_provider: Visitor, provider: RunningProvider, box: Box
) -> None:
    before = box.db.conn.execute("SELECT count(*) FROM staff").fetchone()
    provider.switch(person={"sub": "id-of-a-pupil", "email": "pupil@school.example", "email_verified": True})
    assert refused(at_provider, box, begin(at_provider)) == Refusal.UNKNOWN
    assert box.db.conn.execute("SELECT count(*) FROM staff").fetchone() == before


@pytest.mark.parametrize(
    ("setting", "claims", "counts"),
    [
        ("mfa", {"amr": ["pwd", "mfa"]}, True),
        ("http://schemas.example/multi", {"acr": "http://schemas.example/multi"}, True),
        ("mfa", {"amr": ["pwd"]}, False),
        ("mfa", {}, False),
        ("", {"amr": ["pwd", "mfa"]}, False),
    ],
)
def test_the_providers_second_factor_counts_only_if_the_trust_says_so(
    provider: RunningProvider, box: Box, invited: Invite, setting: str, claims: dict[str, object], counts: bool
) -> None:
    invited("hannah@school.example")
    provider.switch(person=HANNAH, claims=claims)
    visitor = Visitor(create_app(with_provider(box.config, provider.issuer, oidc_second_factor=setting)))
    assert through_provider(visitor).status_code == 302
    assert (visitor.get("/queue").status_code == 200) is counts


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_signing_in_leads_only_to_pages_of_ours(
    at_provider: Visitor, provider: RunningProvider, invited: Invite, target: str
) -> None:
    invited("hannah@school.example")
    provider.switch(person=HANNAH)
    assert through_provider(at_provider, target).headers["Location"] == "/"


@pytest.mark.parametrize("vouch", [{"email_verified": "true"}, {"email_verified": None, "xms_edov": True}])
def test_the_ways_of_ad_fs_and_entra_to_vouch_for_an_address_count(
    at_provider: Visitor, provider: RunningProvider, box: Box, invited: Invite, vouch: dict[str, object]
) -> None:
    staff_id = invited("hannah@school.example")
    provider.switch(person=HANNAH, claims=vouch, algorithm="ES256")
    assert through_provider(at_provider).status_code == 302
    assert methods(box) == [(staff_id, "oidc")]


def test_google_vouches_only_for_accounts_of_an_organisation() -> None:
    claims = {"email": "hannah@school.example", "email_verified": True}
    assert vouched_emails("https://accounts.google.com", claims) == ()
    assert vouched_emails("https://accounts.google.com", {**claims, "hd": "school.example"}) == (claims["email"],)


def test_a_provider_that_is_down_is_named_on_a_page(box: Box) -> None:
    running = start_provider()
    visitor = Visitor(create_app(with_provider(box.config, running.issuer)))
    back = begin(visitor)
    running.stop()
    assert refused(visitor, box, back) == Refusal.UNREACHABLE
    fresh = Visitor(create_app(with_provider(box.config, running.issuer)))
    assert refused(fresh, box, "/sign-in/provider") == Refusal.UNREACHABLE
    assert running.process.stdout is not None
    running.process.stdout.close()


def test_the_secret_is_kept_in_a_file_of_ones_own(box: Box, provider: RunningProvider) -> None:
    config = with_provider(box.config, provider.issuer)
    path = config.keys / "oidc-client-secret"
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        create_app(config)
    path.unlink()
    with pytest.raises(SettingsError, match="no such file"):
        create_app(config)


def test_the_other_way_of_signing_stays_open(at_provider: Visitor, box: Box) -> None:
    assert at_provider.sign_in(box.staff(Role.TECHNICIAN, trust_id="larch")).status_code == 302


def test_answers_that_belong_to_nothing_do_not_fill_the_audit(at_provider: Visitor, box: Box) -> None:
    codes = {at_provider.get(f"/sign-in/provider/back?state=x{number}&code=y").status_code for number in range(40)}
    assert codes == {403} and len(failures(box)) == HERE.free
