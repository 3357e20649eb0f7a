"""The provider's door by itself, where time is given: answers that come late, or do not fit."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from appliance.config import SettingsError
from appliance.directory.oidc import OpenIdProvider
from appliance.safeguarding.directory import DirectoryRefusedError, PendingSignIn, Refusal
from tests.directory.conftest import (
    BACK,
    CLIENT_ID,
    CLIENT_SECRET,
    RunningProvider,
    follow,
)


def door(issuer: str, secret: str = CLIENT_SECRET) -> OpenIdProvider:
    return OpenIdProvider(issuer, CLIENT_ID, secret, BACK, "/etc/ssl/certs")


def pending(at: datetime) -> PendingSignIn:
    return PendingSignIn("state " * 8, "nonce " * 8, "verifier" * 6, at)


def answer(provider: OpenIdProvider, begun: PendingSignIn) -> dict[str, str]:
    query = urlsplit(follow(provider.begin(begun))).query
    return {name: values[0] for name, values in parse_qs(query).items()}


def why(call: Callable[[], object]) -> Refusal:
    with pytest.raises(DirectoryRefusedError) as caught:
        call()
    return caught.value.refusal


def test_a_sign_in_that_takes_too_long_is_refused(provider: RunningProvider) -> None:
    now, ours = datetime.now(UTC), door(provider.issuer)
    begun = pending(now)
    got = answer(ours, begun)
    assert why(lambda: ours.finish(begun, got, now + timedelta(minutes=11))) is Refusal.LATE
    assert why(lambda: ours.finish(begun, got, now - timedelta(seconds=1))) is Refusal.LATE
    assert ours.finish(begun, got, now + timedelta(seconds=5)).subject == "nobody"


def test_a_code_is_worth_nothing_without_the_verifier(provider: RunningProvider) -> None:
    now, ours = datetime.now(UTC), door(provider.issuer)
    begun = pending(now)
    got = answer(ours, begun)
    other = PendingSignIn(begun.state, begun.nonce, "another " * 6, now)
    assert why(lambda: ours.finish(other, got, now)) is Refusal.CODE


def test_a_token_expires_by_the_boxs_clock(provider: RunningProvider) -> None:
    now, ours = datetime.now(UTC), door(provider.issuer)
    late = now + timedelta(minutes=7)  # tokens last five minutes, and one is allowed for clocks
    begun = pending(late)
    got = answer(ours, begun)
    assert why(lambda: ours.finish(begun, got, late)) is Refusal.EXPIRED


def test_new_keys_of_the_provider_are_fetched_but_not_at_every_wrong_one(provider: RunningProvider) -> None:
    now, ours = datetime.now(UTC), door(provider.issuer)

    def sign_in(at: datetime) -> str:
        begun = pending(at)
        return ours.finish(begun, answer(ours, begun), at).subject

    def fetched() -> int:
        return provider.seen().count("/keys")

    before = fetched()
    assert sign_in(now) == sign_in(now) == "nobody"
    assert fetched() == before + 1
    provider.switch(publish="second")
    assert why(lambda: sign_in(now + timedelta(seconds=30))) is Refusal.SIGNATURE
    assert fetched() == before + 1
    assert sign_in(now + timedelta(seconds=90)) == "nobody"
    assert fetched() == before + 2


@pytest.mark.parametrize(
    ("metadata", "secret"),
    [
        ({"issuer": "https://login.elsewhere.example"}, CLIENT_SECRET),
        ({"token_endpoint": "http://login.elsewhere.example/token"}, CLIENT_SECRET),
        ({"jwks_uri": "file:///etc/passwd"}, CLIENT_SECRET),
        ({"authorization_endpoint": None}, CLIENT_SECRET),
        ({"filler": "x" * 600_000}, CLIENT_SECRET),
        ({}, "a secret that was changed at the provider"),
    ],
    ids=["issuer", "token-endpoint", "keys", "no-authorization", "too-much", "secret"],
)
def test_what_does_not_fit_is_a_matter_for_the_technician(
    provider: RunningProvider, metadata: dict[str, object], secret: str
) -> None:
    now, ours = datetime.now(UTC), door(provider.issuer, secret)
    provider.switch(metadata=metadata)
    begun = pending(now)
    assert why(lambda: ours.finish(begun, answer(ours, begun), now)) is Refusal.SETTINGS


@pytest.mark.parametrize("issuer", ["http://login.school.example", "login.school.example", "https://"])
def test_an_issuer_without_tls_is_no_setting(issuer: str) -> None:
    with pytest.raises(SettingsError, match="oidc_issuer"):
        door(issuer)
