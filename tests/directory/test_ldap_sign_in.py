"""Signing in with a real slapd, and each way in which a name and password are refused."""

import html
import socket
import uuid
from collections.abc import Callable

import pytest

from appliance.config import SettingsError
from appliance.directory.ldap import LdapDirectory, own_name, refused_bind
from appliance.safeguarding.directory import REFUSALS, DirectoryRefusedError, Refusal
from appliance.safeguarding.sign_in import HERE
from appliance.web.app import create_app
from tests.directory.conftest import failures, free_ports, methods, through_ldap, with_ldap
from tests.directory.slapd import BASE, PEOPLE, SERVICE, SERVICE_PASSWORD, Slapd
from tests.factories import Box
from tests.web.conftest import Visitor

Invite = Callable[[str], str]

AS_THEMSELVES = f"uid={{name}},{PEOPLE}"
HANNAHS = "hannah's school password"


def door(slapd: Slapd, url: str = "", bind_as: str = SERVICE, password: str = SERVICE_PASSWORD) -> LdapDirectory:
    return LdapDirectory(url or slapd.ldaps, BASE, bind_as, password, str(slapd.authority))


def why(call: Callable[[], object]) -> Refusal:
    with pytest.raises(DirectoryRefusedError) as caught:
        call()
    return caught.value.refusal


# ---- at the portal ----


@pytest.mark.parametrize("name", ["hannah", "HANNAH@school.example", " hannah@school.example "])
def test_a_dsl_signs_in_and_the_second_factor_follows(at_ldap: Visitor, box: Box, invited: Invite, name: str) -> None:
    staff_id = invited("hannah@school.example")
    page = at_ldap.get("/sign-in").get_data(as_text=True)
    assert "/sign-in/directory" in page and "/sign-in/provider" not in page
    response = through_ldap(at_ldap, name, HANNAHS, next="/queue")
    assert (response.status_code, response.headers["Location"]) == (302, "/queue")
    assert methods(box) == [(staff_id, "ldap")]
    kinds = [row[0] for row in box.db.conn.execute("SELECT kind FROM audit WHERE actor_id = ?", [staff_id])]
    assert kinds[-2:] == ["directory:linked", "staff:signed_in"]
    assert at_ldap.get("/queue").headers["Location"].startswith("/second-factor")
    at_ldap.get("/second-factor")
    assert at_ldap.post("/second-factor", code=at_ldap.code(box.actor(staff_id))).status_code == 302
    assert at_ldap.get("/queue").status_code == 200


def test_all_names_of_an_account_share_its_tries_and_its_own_computer_is_known(
    at_ldap: Visitor, box: Box, invited: Invite
) -> None:
    person = box.actor(invited("hannah@school.example"))
    for name in ("hannah", "HANNAH@school.example"):
        assert through_ldap(at_ldap, name, HANNAHS).status_code == 302
        at_ldap.get("/second-factor")
        assert at_ldap.post("/second-factor", code=at_ldap.code(person)).status_code == 302
        at_ldap.get("/account")
        at_ldap.post("/sign-out")
    guesser = Visitor(at_ldap._client.application)
    names = ["hannah", "HANNAH", "hannah@school.example", " hannah@school.example", "Hannah", "hannah"]
    codes = [through_ldap(guesser, name, "not her password").status_code for name in names]
    assert codes == [401] * HERE.free + [429]
    # she herself, at her own computer behind the same address, by whatever name
    for name in ("hannah", "hannah@school.example"):
        assert through_ldap(at_ldap, name, HANNAHS).status_code == 302


REFUSED = {
    "a wrong password": ("hannah", "not her password", Refusal.PASSWORD),
    "somebody else's password": ("hannah", "other's school password", Refusal.PASSWORD),
    "an unknown name": ("nobody-here", HANNAHS, Refusal.PASSWORD),
    "everybody's name": ("*", HANNAHS, Refusal.PASSWORD),
    "the start of a name": ("hann*", HANNAHS, Refusal.PASSWORD),
    "a filter in the name": ("nobody)(uid=hannah", HANNAHS, Refusal.PASSWORD),
    "another filter in the name": ("x))(|(uid=hannah", HANNAHS, Refusal.PASSWORD),
    "an end of text in the name": ("hannah\x00", HANNAHS, Refusal.PASSWORD),
    "a service account": ("trustkeep", SERVICE_PASSWORD, Refusal.PASSWORD),
    "two people of one address": ("twin@school.example", "twin's password", Refusal.AMBIGUOUS),
    "an account switched off there": ("gone", "gone's password", Refusal.DIRECTORY_DISABLED),
    "an account switched off there, guessed": ("gone", "not the password", Refusal.PASSWORD),
    "an account with no address": ("nomail", "nomail's password", Refusal.UNVERIFIED),
    "an account nobody invited": ("other", "other's school password", Refusal.UNKNOWN),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.replace(" ", "-"))
def test_who_does_not_belong_is_refused_with_a_clear_page_and_an_entry(
    at_ldap: Visitor, box: Box, invited: Invite, case: str
) -> None:
    name, password, refusal = REFUSED[case]
    invited("hannah@school.example")
    invited("gone@school.example")
    response = through_ldap(at_ldap, name, password)
    assert response.status_code in (401, 403)
    assert REFUSALS[refusal].reason in html.unescape(response.get_data(as_text=True))
    assert failures(box) == [("nobody", "sign-in", refusal)]
    assert methods(box) == []
    assert at_ldap.get("/queue").headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize(("name", "password"), [("hannah", ""), ("", ""), ("", HANNAHS), ("  ", HANNAHS)])
def test_an_empty_password_or_name_is_no_way_in(
    at_ldap: Visitor, slapd: Slapd, box: Box, invited: Invite, name: str, password: str
) -> None:
    invited("hannah@school.example")
    assert through_ldap(at_ldap, name, password).status_code == 401
    assert methods(box) == []
    assert why(lambda: door(slapd).check_password(name, password)) is Refusal.PASSWORD


def test_an_account_switched_off_here_is_refused(at_ldap: Visitor, box: Box, invited: Invite) -> None:
    staff_id = invited("hannah@school.example")
    box.db.conn.execute("UPDATE staff SET disabled_at = '2026-11-01' WHERE id = ?", [staff_id])
    response = through_ldap(at_ldap, "hannah", HANNAHS)
    assert response.status_code == 403 and "switched off" in response.get_data(as_text=True)
    assert failures(box) == [("nobody", f"staff:{staff_id}", Refusal.DISABLED)]
    assert methods(box) == []


def test_a_directory_that_is_down_is_named_on_a_page(box: Box, slapd: Slapd, invited: Invite) -> None:
    invited("hannah@school.example")
    (port,) = free_ports(1)
    visitor = Visitor(create_app(with_ldap(box.config, slapd, ldap_url=f"ldaps://localhost:{port}")))
    response = through_ldap(visitor, "hannah", HANNAHS)
    assert response.status_code == 503 and "does not answer" in response.get_data(as_text=True)
    assert [entry[2].partition(":")[0] for entry in failures(box)] == [Refusal.UNREACHABLE]


def test_passwords_cannot_be_tried_out_through_the_box(at_ldap: Visitor, box: Box, invited: Invite) -> None:
    invited("hannah@school.example")
    for _ in range(HERE.free):
        assert through_ldap(at_ldap, "hannah", "a guess").status_code == 401
    held = through_ldap(at_ldap, "hannah", HANNAHS)  # the right one, and still it is not asked
    assert held.status_code == 429 and "Wait" in held.get_data(as_text=True)
    assert methods(box) == []


# ---- the directory's door by itself ----


def test_the_lasting_id_is_the_guid_as_active_directory_writes_it(slapd: Slapd) -> None:
    identity = door(slapd).check_password("zbrown", "zoë's pässword")
    assert identity.subject == "04030201-0605-0807-090a-0b0c0d0e0f10"
    assert identity.emails == ("zoe@school.example",) and identity.issuer == f"ldap:{BASE}"
    assert not identity.second_factor
    assert door(slapd).check_password("zbrown@larch.example", "zoë's pässword") == identity
    uuid.UUID(door(slapd).check_password("hannah", HANNAHS).subject)


def test_people_may_bind_as_themselves(slapd: Slapd) -> None:
    ours = door(slapd, bind_as=AS_THEMSELVES, password="")
    assert ours.check_password("hannah", HANNAHS).emails == ("Hannah@School.example",)
    for name in ("nobody-here", "hannah,ou=people", "other", "hannah+sn=hannah", "#hannah", "hannah\\", 'hannah"'):
        assert why(lambda name=name: ours.check_password(name, HANNAHS)) is Refusal.PASSWORD, name
    assert why(lambda: ours.check_password("hannah", "")) is Refusal.PASSWORD


def test_who_binds_as_themselves_cannot_be_found_as_another(slapd: Slapd) -> None:
    # a pupil's account binds, and the search finds a member of staff by the same name: the last bind fails
    ours = door(slapd, bind_as=f"cn={{name}},ou=services,{BASE}", password="")
    assert why(lambda: ours.check_password("hannah", "a pupil's")) is Refusal.PASSWORD


def test_a_typed_name_adds_no_part_to_a_dn() -> None:
    assert own_name("uid={name},ou=x", "a,ou=y") == "uid=a\\,ou\\=y,ou=x"
    assert own_name("{name}@larch.example", "hannah") == "hannah@larch.example"


def test_start_tls_is_used_and_its_certificate_checked(slapd: Slapd) -> None:
    for url in (slapd.ldap, slapd.ldap.replace("localhost", "127.0.0.1")):
        assert door(slapd, url).check_password("hannah", HANNAHS).subject
    strangers = LdapDirectory(slapd.ldap, BASE, SERVICE, SERVICE_PASSWORD, "/etc/ssl/certs")
    assert why(strangers.check) is Refusal.SETTINGS


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_certificate_of_another_name_or_authority_is_refused(slapd: Slapd, scheme: str) -> None:
    url = slapd.elsewhere if scheme == "ldap" else slapd.ldaps
    assert why(door(slapd, slapd.elsewhere).check) is Refusal.SETTINGS  # good for localhost and 127.0.0.1 only
    strangers = LdapDirectory(url, BASE, SERVICE, SERVICE_PASSWORD, "/etc/ssl/certs")
    assert why(strangers.check) is Refusal.SETTINGS


def test_no_password_goes_without_tls_except_on_the_machine_itself(plain_slapd: Slapd) -> None:
    assert door(plain_slapd, plain_slapd.ldap).check_password("hannah", HANNAHS).subject
    with pytest.raises(DirectoryRefusedError, match="no TLS") as caught:
        door(plain_slapd, plain_slapd.elsewhere).check_password("hannah", HANNAHS)
    assert caught.value.refusal is Refusal.SETTINGS


def test_a_wrong_service_account_is_a_matter_for_the_technician(slapd: Slapd) -> None:
    assert why(lambda: door(slapd, password="changed").check_password("hannah", HANNAHS)) is Refusal.SETTINGS
    assert why(door(slapd, bind_as="cn=nobody,dc=larch,dc=example").check) is Refusal.SETTINGS
    lost = LdapDirectory(slapd.ldaps, "ou=nowhere,dc=larch,dc=example", SERVICE, SERVICE_PASSWORD, str(slapd.authority))
    assert why(lost.check) is Refusal.SETTINGS


def test_a_directory_that_never_answers_is_given_up(slapd: Slapd) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert why(door(slapd, f"ldaps://127.0.0.1:{port}").check) is Refusal.UNREACHABLE


@pytest.mark.parametrize(
    ("windows", "refusal"),
    [
        ("52e", Refusal.PASSWORD),
        ("525", Refusal.PASSWORD),
        ("532", Refusal.PASSWORD_EXPIRED),
        ("773", Refusal.PASSWORD_EXPIRED),
        ("533", Refusal.DIRECTORY_DISABLED),
        ("701", Refusal.DIRECTORY_DISABLED),
        ("775", Refusal.DIRECTORY_DISABLED),
    ],
)
def test_active_directorys_reasons_are_understood(windows: str, refusal: Refusal) -> None:
    message = f"80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {windows}, v3839"
    assert refused_bind(49, message).refusal is refusal


@pytest.mark.parametrize("url", ["http://dc1.larch.example", "dc1.larch.example", "ldaps://", "ldaps://dc1:port"])
def test_an_address_that_is_no_directorys_is_no_setting(url: str) -> None:
    with pytest.raises(SettingsError, match="ldap_url"):
        LdapDirectory(url, BASE, SERVICE, SERVICE_PASSWORD, "/etc/ssl/certs")


def test_settings_that_lack_a_part_keep_the_portal_from_starting(box: Box, slapd: Slapd) -> None:
    for name in ("ldap_base", "ldap_bind_as"):
        with pytest.raises(SettingsError, match=name):
            create_app(with_ldap(box.config, slapd, **{name: ""}))
    config = with_ldap(box.config, slapd)
    (config.keys / "ldap-password").unlink()
    with pytest.raises(SettingsError, match="ldap-password"):
        create_app(config)
    create_app(with_ldap(box.config, slapd, ldap_bind_as=AS_THEMSELVES))
