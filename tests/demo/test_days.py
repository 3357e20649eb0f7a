"""The recorded school days: who types, on which screen, and how much of it is harmless."""

import io
import re
from collections import Counter

import pytest
from PIL import Image

from agent.capture import BYTES_AT_MOST, is_plain_lossless_webp
from appliance.safeguarding.severity import Category, Severity
from demo.content import SCREEN_FOLDER, DemoDevice, load_day, load_trust, load_truth

TRUST = load_trust()
TRUTH = load_truth()
DAYS = {device.id: load_day(device.day_file) for device in TRUST.devices}
ALL = [step for day in DAYS.values() for step in day]
by_device = pytest.mark.parametrize("device", TRUST.devices, ids=lambda device: device.id)
by_screen = pytest.mark.parametrize("name", sorted(TRUTH))


def plain(words: tuple[str, ...] | list[str]) -> Counter[str]:
    """The words as they are compared: lower case, without the punctuation at their edges."""
    return Counter(filter(None, (re.sub(r"^\W+|\W+$", "", word.lower()) for word in words)))


@by_device
def test_a_day_has_thirty_to_forty_five_steps_with_natural_gaps(device: DemoDevice) -> None:
    assert 30 <= len(DAYS[device.id]) <= 45
    assert all(5 <= step.after_seconds <= 90 for step in DAYS[device.id])


@by_device
def test_every_account_belongs_to_the_academy_of_the_device(device: DemoDevice) -> None:
    accounts = {pupil.account for pupil in TRUST.pupils if pupil.academy == device.academy}
    assert {step.account for step in DAYS[device.id]} <= accounts


def test_every_screen_of_the_days_is_there_and_no_other() -> None:
    used = {step.screen for step in ALL}
    assert all(screen.is_file() for screen in used)
    assert {screen.name for screen in used} == set(TRUTH) == {path.name for path in SCREEN_FOLDER.glob("*.webp")}


@by_screen
def test_a_screen_is_lossless_webp_that_a_device_sends_untouched(name: str) -> None:
    data = (SCREEN_FOLDER / name).read_bytes()
    assert is_plain_lossless_webp(data)
    assert len(data) < BYTES_AT_MOST
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "WEBP"
        assert image.size in {(1366, 768), (1920, 1080)}


def test_the_screens_together_are_small_enough_to_keep_in_the_tree() -> None:
    assert sum((SCREEN_FOLDER / name).stat().st_size for name in TRUTH) < 4_000_000


@by_device
def test_what_was_typed_can_be_read_on_the_screen(device: DemoDevice) -> None:
    for step in DAYS[device.id]:
        missing = plain(step.typed.split()) - plain(TRUTH[step.screen.name])
        assert not missing, f"{step.screen.name}: {dict(missing)}"


@by_device
def test_earlier_lines_can_be_read_on_the_screen_too(device: DemoDevice) -> None:
    for step in DAYS[device.id]:
        missing = plain(" ".join(step.context).split()) - plain(TRUTH[step.screen.name])
        assert not missing, f"{step.screen.name}: {dict(missing)}"


def test_a_visitor_soon_sees_the_story_of_a_pupil_hurt_at_home() -> None:
    secondary = next(academy.key for academy in TRUST.academies if academy.phase == "secondary")
    device = next(device for device in TRUST.devices if device.academy == secondary)
    story = [step for step in DAYS[device.id][:4] if step.expect.category is Category.ABUSE]
    assert "hurt my arm" in story[0].typed
    assert story[0].expect.level >= Severity.SERIOUS
    assert story[0].expect.rule is not None
    assert {step.account for step in story} == {"k.mercer"}


def test_most_of_a_day_is_harmless_and_a_third_to_a_half_of_that_fires_a_rule() -> None:
    harmless = [step for step in ALL if step.expect.category is Category.NONE]
    assert len(harmless) >= 0.6 * len(ALL)
    assert all(step.expect.level is Severity.NOISE for step in harmless)
    assert 1 / 3 <= sum(step.expect.rule is not None for step in harmless) / len(harmless) <= 1 / 2


@by_device
def test_every_device_has_something_serious_and_something_harmless(device: DemoDevice) -> None:
    levels = [step.expect.level for step in DAYS[device.id]]
    assert max(levels) >= Severity.CREDIBLE
    assert levels.count(Severity.NOISE) > len(levels) / 2


def test_nothing_serious_goes_unnoticed_by_the_policy() -> None:
    assert all(step.expect.rule for step in ALL if step.expect.category is not Category.NONE)
