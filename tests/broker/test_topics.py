"""Which names a device may have, and what a topic says."""

import pytest

from appliance.broker.topics import Kind, is_device_id, parse_topic, topic


@pytest.mark.parametrize("name", ["ASH-01", "a", "9", "NGS-LT-014", "x" * 64])
def test_a_device_may_be_called_so(name):
    assert is_device_id(name)
    assert parse_topic(topic(Kind.EVENT, name)) == (Kind.EVENT, name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "x" * 65,
        "a b",
        "a/b",
        "a+",
        "#",
        "%u",
        "a\n",
        "a.b",
        "a_b",
        "é",
        "٣",
        "ingest",
        "Ingest",
        "BROKER",
        "localhost",
    ],
)
def test_a_device_may_not_be_called_so(name):
    assert not is_device_id(name)
    assert parse_topic(topic(Kind.EVENT, name)) is None


@pytest.mark.parametrize(
    "text", ["", "tk/v1/event", "tk/v1/event/", "tk/v2/event/ASH-01", "x/tk/v1/event/ASH-01", "tk/v1/config/ASH-01"]
)
def test_a_topic_of_no_device_is_none(text):
    assert parse_topic(text) is None
