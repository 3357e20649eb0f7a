"""The whole agent as its own process: a recorded day, a real broker, and every event at the box."""

import json
import signal
import stat

import pytest

from agent.capture import encode_image

POLICY = {
    "version": "cases-1",
    "academy": "Larkfield Academy",
    "rules": [{"id": "abuse-home", "category": "abuse", "phrases": ["scared to go home"]}],
}
TITLE = "a window title of mine"


@pytest.fixture
def settings(device, page, policy_key):
    """A settings file beside everything it names, and a day of twelve steps, every third of which fires."""
    folder = device.folder.parent
    device.close()
    (folder / "policy.json").write_bytes(policy_key.sign(POLICY))
    broker = {
        "host": device.credentials.host,
        "port": device.credentials.port,
        "ca": str(device.credentials.ca),
        "certificate": str(device.credentials.certificate),
        "key": str(device.credentials.key),
    }
    (folder / "agent.json").write_text(
        json.dumps(
            {
                "device_id": device.credentials.device_id,
                "data_dir": "data",
                "policy": "policy.json",
                "policy_key": policy_key.write_public(folder / "policy.pem").name,
                "box_key": device.box_key.write_public(folder / "box.pem").name,
                "broker": broker,
            }
        )
    )
    steps = []
    for number in range(12):
        fires = number % 3 == 0
        words = "i am skared to go home" if fires else "my homework is late"
        screen = folder / f"{number}.webp"
        screen.write_bytes(encode_image(page(words=f"{number}")).data)
        step = {"after_seconds": 1, "account": "mia", "application": "Chat", "window_title": TITLE, "address": ""}
        steps.append({**step, "typed": f"{words} {number}", "screen": screen.name})
    steps.append({**steps[0], "protected": True, "typed": "my password is scared to go home"})
    (folder / "day.jsonl").write_text("\n".join(map(json.dumps, steps)))
    return folder


def test_a_day_is_played_and_every_event_arrives(settings, box, start_program):
    agent = start_program(
        "-m", "agent", "run", "--config", settings / "agent.json", "--day", settings / "day.jsonl",
        "--speed", "50", "--exit-when-sent",
    )  # fmt: skip
    assert agent.finish() == 0, agent.lines
    assert box.sequences == [1, 2, 3, 4]
    assert [event.header["typed"] for event in box.events] == [f"i am skared to go home {n}" for n in (0, 3, 6, 9)]
    assert [event.image for event in box.events] == [(settings / f"{n}.webp").read_bytes() for n in (0, 3, 6, 9)]
    assert box.events[1].header["context"] == [
        "i am skared to go home 0",
        "my homework is late 1",
        "my homework is late 2",
    ]
    assert box.events[0].header["trigger"] == "skared to go home"
    assert len({event.message_id for event in box.events}) == 4
    printed = "\n".join(agent.lines)
    assert "rule abuse-home fired in Chat; event 4 queued" in printed
    assert "receipt: stored, 0 waiting" in printed
    for secret in ("skared", "homework", "password", TITLE, "mia"):
        assert secret not in printed


def test_killed_while_the_box_is_away_it_sends_everything_when_both_are_back(settings, broker, box, start_program):
    broker.kill()
    run = ("-m", "agent", "run", "--config", settings / "agent.json")
    agent = start_program(*run, "--day", settings / "day.jsonl", "--speed", "50")
    agent.wait_for_line("event 4 queued")
    agent.process.kill()
    agent.finish()
    status = start_program("-m", "agent", "status", "--config", settings / "agent.json")
    assert status.finish() == 0
    assert any(line.startswith("waiting: 4 events") for line in status.lines)
    broker.start()
    box.wait_subscribed()
    again = start_program(*run, "--exit-when-sent")
    assert again.finish() == 0, again.lines
    assert sorted(box.sequences) == [1, 2, 3, 4]


def test_sigterm_stops_it_cleanly_in_the_middle_of_a_day(settings, box, start_program):
    agent = start_program(
        "-m", "agent", "run", "--config", settings / "agent.json", "--day", settings / "day.jsonl",
        "--speed", "50", "--loop",
    )  # fmt: skip
    agent.wait_for_line("held back")  # the second round, on the same words
    agent.process.send_signal(signal.SIGTERM)
    assert agent.finish() == 0
    assert agent.lines[-1].startswith("agent stopped")
    assert len({event.message_id for event in box.events}) == len(box.events)


def test_a_second_agent_on_the_same_folder_is_refused(settings, box, start_program):
    first = start_program("-m", "agent", "run", "--config", settings / "agent.json")
    first.wait_for_line("connected")
    second = start_program("-m", "agent", "run", "--config", settings / "agent.json")
    assert second.finish() == 2
    assert second.lines == ["agent: another agent runs on this data folder"]


def test_a_damaged_outbox_is_set_aside_and_the_agent_goes_on(settings, box, start_program):
    for path in (settings / "data").glob("outbox.sqlite3*"):
        path.unlink()
    (settings / "data" / "outbox.sqlite3").write_bytes(b"nothing that SQLite knows" * 100)
    agent = start_program(
        "-m", "agent", "run", "--config", settings / "agent.json", "--day", settings / "day.jsonl",
        "--speed", "1000", "--exit-when-sent",
    )  # fmt: skip
    assert agent.finish() == 0, agent.lines
    assert "damaged" in agent.lines[0]
    assert box.sequences == [1, 2, 3, 4]
    assert list((settings / "data").glob("outbox.sqlite3.damaged-*"))


def test_wrong_settings_are_one_sentence_and_exit_2(tmp_path, start_program):
    (tmp_path / "agent.toml").write_text("device_id = 5")
    for command in ("run", "status"):
        agent = start_program("-m", "agent", command, "--config", tmp_path / "agent.toml")
        assert agent.finish() == 2
        assert len(agent.lines) == 1 and agent.lines[0].startswith("agent: ")


def test_a_request_is_made_on_the_command_line(tmp_path, start_program):
    agent = start_program("-m", "agent", "request", "--device-id", "larkfield-lib-08", "--out", tmp_path / "new")
    assert agent.finish() == 0
    assert stat.S_IMODE((tmp_path / "new" / "device.key").stat().st_mode) == 0o600
    assert (tmp_path / "new" / "device.csr").read_bytes().startswith(b"-----BEGIN CERTIFICATE REQUEST")


def test_an_unsigned_policy_is_refused(settings, start_program):
    (settings / "policy.json").write_text(json.dumps(POLICY))
    agent = start_program("-m", "agent", "run", "--config", settings / "agent.json")
    assert agent.finish() == 2
    assert agent.lines == ["agent: the policy isn't signed"]


def test_nothing_is_read_outside_the_hours(settings, policy_key, start_program):
    hours = {"time_zone": "Europe/London", "weekly": [], "take_home": False, "outside": "off"}
    (settings / "policy.json").write_bytes(policy_key.sign(POLICY, hours=hours))
    agent = start_program(
        "-m", "agent", "run", "--config", settings / "agent.json", "--day", settings / "day.jsonl",
        "--speed", "1000", "--exit-when-sent",
    )  # fmt: skip
    assert agent.finish() == 0
    assert not any("fired" in line for line in agent.lines)


def test_a_new_policy_is_in_force_at_once(settings, box, policy_key, start_program):
    agent = start_program(
        "-m", "agent", "run", "--config", settings / "agent.json", "--day", settings / "day.jsonl",
        "--speed", "20", "--loop",
    )  # fmt: skip
    agent.wait_for_line("connected")
    rule = {"id": "late-work", "category": "none", "phrases": ["homework is late"]}
    box.tell("policy", "larkfield-lib-07", policy_key.sign({**POLICY, "rules": [rule]}, 2))
    agent.wait_for_line("policy 2 in force")
    agent.wait_for_line("rule late-work fired in Chat")
