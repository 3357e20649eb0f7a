"""Nothing is lost and nothing is deleted too soon, against a real mosquitto over TLS."""

import hashlib
import json
import time


def test_an_event_leaves_the_outbox_when_the_box_says_it_is_stored(device, box, wait_until, page):
    device.put("i am scared to go home", page())
    device.start()
    wait_until(lambda: device.depth == 0, "an empty outbox")
    (event,) = box.events
    assert event.header["typed"] == "i am scared to go home"
    assert event.header["sequence"] == 1
    assert event.header["queue_epoch"] == device.outbox.epoch
    assert hashlib.sha256(event.image).hexdigest() == event.header["image"]["sha256"]
    device.wait_for_line("receipt: stored, 0 waiting")


def test_duplicate_also_deletes(device, box, wait_until):
    box.answer = lambda event: {"status": "duplicate"}
    device.put()
    device.start()
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_the_brokers_acknowledgement_alone_deletes_nothing(device, box, wait_until):
    box.answer = lambda event: None
    device.put()
    device.start()
    # a second delivery of the same id shows that the first was acknowledged and given up on
    wait_until(lambda: len(box.events) >= 2, "the event sent again")
    assert len({event.message_id for event in box.events}) == 1
    assert device.depth == 1
    box.answer = lambda event: {"status": "stored"}
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_a_receipt_with_another_digest_is_ignored(device, box, wait_until):
    box.answer = lambda event: {"status": "stored", "sha256": "0" * 64}
    device.put()
    device.start()
    device.wait_for_line("receipt ignored")
    assert device.depth == 1
    box.answer = lambda event: {"status": "rejected", "sha256": "1" * 64}
    seen = len(box.events)
    wait_until(lambda: len(box.events) > seen + 1, "the event sent again")
    assert (device.depth, device.outbox.figures().dead_letters) == (1, 0)
    box.answer = lambda event: {"status": "stored"}
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_broken_receipts_harm_nothing(device, box, wait_until):
    broken = [
        b"",
        b"\xff\xfe",
        b"[]",
        b'{"message_id": 5}',
        b'{"message_id": "x", "sha256": "y", "status": "eaten", "reason": null}',
        b'{"message_id": "x", "sha256": "y", "status": "stored", "reason": 7}',
    ]
    device.start()
    device.wait_for_line("connected")
    for receipt in broken:
        box.say(device.credentials.device_id, receipt)
    wait_until(lambda: sum("receipt ignored" in line for line in device.lines) == len(broken), "all of them ignored")
    device.put()
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_a_rejected_event_becomes_a_dead_letter(device, box, wait_until):
    box.answer = lambda event: {"status": "rejected", "reason": "clock"}
    device.put()
    device.start()
    wait_until(lambda: device.outbox.figures().dead_letters == 1, "a dead letter")
    assert device.depth == 0
    wait_until(lambda: box.beats and box.beats[-1]["dead_letters"] == 1, "a heartbeat that says so")
    # it isn't sent again
    box.answer = lambda event: {"status": "stored"}
    device.put("another")
    wait_until(lambda: device.depth == 0, "an empty outbox")
    assert box.sequences == [1, 2]


def test_events_arrive_though_the_broker_is_killed_and_comes_back(device, broker, box, wait_until):
    box.answer = lambda event: None
    for _ in range(30):
        device.put()
    device.start()
    wait_until(lambda: len(box.events) >= 5, "some events at the box")
    broker.kill()
    device.wait_for_line("lost")
    assert device.depth == 30
    device.put("typed while the broker was away")
    box.answer = lambda event: {"status": "stored"}
    broker.start()
    wait_until(lambda: device.depth == 0, "an empty outbox")
    assert set(box.sequences) == set(range(1, 32))


def test_an_event_nobody_listens_to_is_kept_and_sent_once_somebody_does(device, box, wait_until):
    box.close()
    device.put()
    device.start()
    device.wait_for_line("the box isn't taking events (code 16)")
    assert device.depth == 1
    box.connect()
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_a_device_that_may_not_send_keeps_its_events(device, broker, box, wait_until):
    acl = broker.folder / "acl"
    allowed = acl.read_text()
    acl.write_text(f"user {device.credentials.device_id}\ntopic deny tk/v1/event/#\n{allowed}")
    broker.kill()
    broker.start()
    box.wait_subscribed()
    device.put()
    device.start()
    device.wait_for_line("doesn't allow this device to send (code 135)")
    assert device.depth == 1 and not box.events
    acl.write_text(allowed)
    broker.kill()
    broker.start()
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_what_is_too_large_for_the_broker_goes_without_its_image(device, broker, box, wait_until, noise, page):
    broker.kill()
    broker.limit_packets(60_000)
    broker.start()
    device.put("large", noise(300, 200))
    device.put("small", page())
    device.start()
    wait_until(lambda: device.depth == 0, "an empty outbox")
    by_text = {event.header["typed"]: event for event in box.events}
    assert by_text["large"].header["image"] is None and by_text["large"].image == b""
    assert by_text["small"].image
    # the connection was never thrown away for it
    assert not any("lost" in line for line in device.lines)


def test_no_more_than_the_window_is_on_its_way(device, box, wait_until):
    box.answer = lambda event: None
    for _ in range(12):
        device.put()
    device.start(window=5, receipt_wait=20)
    wait_until(lambda: len(box.events) == 5, "the first five")
    # the sixth follows a receipt, and only that
    first = box.events[0]
    digest = hashlib.sha256(first.payload).hexdigest()
    receipt = {"message_id": first.message_id, "sha256": digest, "status": "stored", "reason": None}
    box.say(device.credentials.device_id, json.dumps(receipt).encode())
    wait_until(lambda: len(box.events) == 6, "the sixth")
    assert box.sequences == [1, 2, 3, 4, 5, 6]
    assert device.depth == 11


def test_an_event_that_is_never_answered_does_not_hold_up_the_others(device, box, wait_until):
    box.answer = lambda event: None if event.header["sequence"] == 1 else {"status": "stored"}
    for _ in range(8):
        device.put()
    device.start(window=1)
    wait_until(lambda: device.depth == 1, "all but one stored")
    assert set(box.sequences) == set(range(1, 9))


def test_after_a_long_silence_the_first_receipt_brings_everything_forward(device, box, wait_until):
    box.answer = lambda event: None
    device.put()
    device.start()
    wait_until(lambda: len(box.events) >= 2, "the event sent again")
    # as after many tries, its next one lies far ahead
    device.outbox.mark_sent(box.events[0].message_id, time.time() + 600)
    box.answer = lambda event: {"status": "stored"}
    device.put()
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_a_new_publisher_sends_what_an_old_one_left(device, box, wait_until):
    box.answer = lambda event: None
    device.put()
    device.start(receipt_wait=600, resend_at_most=900)
    wait_until(lambda: len(box.events) == 1, "the event at the box")
    device.stop()
    box.answer = lambda event: {"status": "stored"}
    # its next try lies ten minutes ahead, but a new connection makes everything due
    assert device.outbox.next_due() > time.time() + 300
    device.start(receipt_wait=600, resend_at_most=900)
    wait_until(lambda: device.depth == 0, "an empty outbox")


def test_the_heartbeat_tells_how_the_outbox_stands(device, box, wait_until):
    box.answer = lambda event: {"status": "stored"} if event.header["sequence"] == 1 else None
    device.put()
    device.put()
    device.start()
    wait_until(lambda: box.beats and box.beats[-1]["lowest_unreceipted"] == 2, "a heartbeat after the receipt")
    beat = box.beats[-1]
    assert set(beat) == {
        "version",
        "device_id",
        "queue_epoch",
        "highest_sequence",
        "lowest_unreceipted",
        "queue_depth",
        "queue_bytes",
        "oldest_at",
        "dead_letters",
        "agent_version",
        "policy_version",
        "sent_at",
        "policy_number",
        "policy_expired",
        "platform",
        "permissions_missing",
        "monitored_now",
        "notice_accepted",
        "images_dropped",
        "held_back",
        "disk_full",
    }
    assert (beat["version"], beat["device_id"], beat["queue_epoch"]) == (1, "larkfield-lib-07", device.outbox.epoch)
    assert (beat["highest_sequence"], beat["queue_depth"], beat["dead_letters"]) == (2, 1, 0)
    assert beat["queue_bytes"] == device.outbox.figures().queue_bytes > 0
    assert beat["oldest_at"].endswith("+00:00") and beat["sent_at"] > beat["oldest_at"]
    assert (beat["agent_version"], beat["policy_version"]) == ("0.1.0", "cases-1")


def test_a_box_of_another_authority_is_refused(device, make_authority, box):
    device.trust(make_authority("Somebody else's authority"))
    device.put()
    device.start()
    device.wait_for_line("certificate verify failed")
    assert device.depth == 1 and not box.events


def test_a_certificate_for_another_host_is_refused(device, box):
    device.connect_to("127.0.0.1")
    device.put()
    device.start()
    device.wait_for_line("no connection to the box")
    assert device.depth == 1 and not box.events


def test_no_line_holds_what_was_typed(device, box, wait_until):
    box.answer = lambda event: {"status": "rejected", "reason": event.header["typed"]}
    device.put("a secret of mine")
    device.start()
    wait_until(lambda: device.outbox.figures().dead_letters == 1, "a dead letter")
    device.stop()
    assert device.lines and not any("secret" in line for line in device.lines)


def test_the_box_can_have_receipted_events_sent_again(device, box, wait_until):
    for number in range(3):
        device.put(f"number {number}")
    device.start()
    wait_until(lambda: device.depth == 0, "an empty outbox")
    first = [event.message_id for event in box.events]
    resend = {"version": 1, "command": "resend", "queue_epoch": device.outbox.epoch, "from_sequence": 2}
    box.tell("command", device.credentials.device_id, json.dumps(resend).encode())
    wait_until(lambda: len(box.events) == 5 and device.depth == 0, "two events again")
    assert [event.message_id for event in box.events[3:]] == first[1:]
    assert box.sequences == [1, 2, 3, 2, 3]


def test_a_command_nobody_knows_is_said_and_ignored(device, box, wait_until):
    device.start()
    device.wait_for_line("connected")
    unknown = (b"[]", b"{" * 5000, b'{"version":1,"command":"wipe"}', b'{"version":2,"command":"resend"}',
               b'{"version":1,"command":"resend","queue_epoch":"x","from_sequence":"all"}')  # fmt: skip
    for command in unknown:
        box.tell("command", device.credentials.device_id, command)
    wait_until(lambda: sum("command ignored" in line for line in device.lines) == len(unknown), "all of them ignored")
    device.put()
    wait_until(lambda: device.depth == 0, "an empty outbox")
