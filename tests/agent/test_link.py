"""What the two processes of a device say to each other, over a real socket."""

import socket
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.capture import encode_image
from agent.link import LinkError, pack_report, read_frame, unpack_report, write_frame
from agent.message import Report

REPORT = Report(
    datetime(2025, 9, 8, tzinfo=UTC), "mia", "home", "scared", "Chat", "Year 9", "", "i am scared — é😀", ("one", "two")
)


@pytest.fixture
def link():
    one, other = socket.socketpair()
    files = one.makefile("rwb"), other.makefile("rwb")
    yield files[0], files[1], one
    for file in (*files, one, other):
        file.close()


def test_a_report_arrives_as_it_was_made(link, page):
    session, service, _ = link
    capture = encode_image(page())
    write_frame(session, *pack_report(REPORT, capture))
    write_frame(session, *pack_report(REPORT, None))
    assert unpack_report(*read_frame(service), "mia") == (REPORT, capture)
    assert unpack_report(*read_frame(service), "mia") == (REPORT, None)


def test_whose_report_it_is_the_system_says_and_not_the_session(link):
    session, service, _ = link
    write_frame(session, *pack_report(replace(REPORT, account="somebody else"), None))
    assert unpack_report(*read_frame(service), "mia")[0].account == "mia"


def test_the_end_of_the_stream_is_none_and_a_cut_frame_an_error(link):
    session, service, raw = link
    write_frame(session, {"kind": "standing"})
    session.write(b"\0\0\0\x10\0\0\0\0{")
    session.flush()
    raw.shutdown(socket.SHUT_WR)
    assert read_frame(service) == ({"kind": "standing"}, b"")
    with pytest.raises(LinkError, match="cut off"):
        read_frame(service)
    assert read_frame(service) is None


@pytest.mark.parametrize(
    "lengths", [b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\x02\xff\xff\xff\xff"], ids=["header", "body"]
)
def test_a_frame_that_would_fill_the_memory_is_refused_unread(link, lengths):
    session, service, _ = link
    session.write(lengths)
    session.flush()
    with pytest.raises(LinkError, match="too large"):
        read_frame(service)


def test_an_image_that_is_not_whole_is_refused(link, page):
    header, body = pack_report(REPORT, encode_image(page()))
    with pytest.raises(LinkError, match="isn't whole"):
        unpack_report(header, body[:-1], "mia")


JSON = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3))


@given(st.dictionaries(st.sampled_from(["report", "image", "kind"]), JSON), st.dictionaries(st.text(max_size=5), JSON))
def test_no_header_breaks_the_service(header, report):
    for changed in (header, {**header, "report": report}):
        with pytest.raises(LinkError):
            unpack_report(changed, b"", "mia")
