"""``make run``: a whole box with a demo trust and devices that really report, until Ctrl-C."""

import os
import shutil
import signal
import sys
import time
from datetime import UTC, datetime

from appliance.config import Config, SettingsError, load_config
from appliance.log import start_log
from appliance.safeguarding.sign_in import CODE_SECONDS
from appliance.start import StartError, check_ports, prepare, run_box
from appliance.store.connection import StoreError
from appliance.supervisor import Program
from appliance.workflow.credentials import code_now
from demo.seed import Account, enrol_devices, read_accounts, seed_trust

MAILBOX_PORT = 8025
PLAYED_AT = 3
"""How many times faster than recorded the demo's school days are played."""


def run(config: Config, speed: float = PLAYED_AT) -> int:
    """Seed the trust where there is none, enrol the devices, and run everything."""
    check_ports(config)
    prepare(config)
    accounts = seed_trust(config)
    python = sys.executable
    more = [Program("mailbox", [python, "-m", "demo.mail", str(config.home / "demo" / "mail"), str(config.smtp_port)])]
    for device, settings in enrol_devices(config):
        play = ["--day", str(device.day_file), "--speed", str(speed), "--loop"]
        more.append(Program(device.id, [python, "-m", "agent", "run", "--config", str(settings), *play], quiet=True))
    return run_box(config, more, lambda: _welcome(config, accounts))


def _welcome(config: Config, accounts: list[Account]) -> None:
    lines = [
        "",
        f"  The portal is at  {config.portal_url}  (its certificate is from this box's own authority,",
        f"  {config.keys / 'ca.crt'}; a browser asks once).",
        f"  Everything is kept in  {config.home}",
        "",
    ]
    lines += [f"  {one.role:<30} {one.email:<38} {one.password}" for one in accounts]
    lines += ["", "  Each is asked for a code too, as on a telephone. In another terminal:  make code"]
    lines += ["", "  Ctrl-C stops the box; nothing is lost. What happens is told below, a line each.", ""]
    start_log("box")
    print("\n".join(lines), flush=True)


def show_codes(config: Config) -> int:
    """Print the codes that the demo accounts' authenticator apps would show now, and how long they last."""
    now, accounts = datetime.now(UTC), read_accounts(config)
    if not accounts:
        print("There is no demo trust here yet. Start it: make run", file=sys.stderr)
        return 1
    for one in accounts:
        print(f"  {one.role:<30} {one.email:<38} {code_now(one.secret, now)}")
    print(f"  They change in {CODE_SECONDS - int(now.timestamp()) % CODE_SECONDS} s; each counts once.")
    return 0


def stop(config: Config) -> int:
    """Stop a box that runs elsewhere, and wait until it has."""
    pid_file = config.run / "box.pid"
    try:
        pid = int(pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        print("No box is running here.")
        return 0
    for _ in range(300):
        if not pid_file.exists():
            print("Stopped; nothing is lost.")
            return 0
        time.sleep(0.1)
    print("It has not stopped within 30 s.", file=sys.stderr)
    return 1


def clean(config: Config, sure: bool) -> int:
    """Delete everything the demo box remembers, after asking."""
    if not config.home.exists():
        print(f"There is nothing in {config.home}.")
        return 0
    if (config.run / "box.pid").exists():
        print("The box is running. Stop it first: make stop", file=sys.stderr)
        return 1
    if not sure:
        print(f"This deletes every event, record and key in {config.home}, for good.")
        if input("Type yes to go on: ").strip().lower() != "yes":
            print("Nothing was deleted.")
            return 1
    shutil.rmtree(config.home)
    print("Deleted.")
    return 0


def main(arguments: list[str]) -> int:
    """Run a verb: nothing (run), code, stop or clean. ``--speed N`` plays the devices' days so many times as fast."""
    try:
        # the demo's messages go to a mailbox of its own, whatever the machine has on port 25
        os.environ.setdefault("TRUSTKEEP_SMTP_PORT", str(MAILBOX_PORT))
        config = load_config()
        if arguments[:1] == ["code"]:
            return show_codes(config)
        if arguments[:1] == ["stop"]:
            return stop(config)
        if arguments[:1] == ["clean"]:
            return clean(config, "--yes" in arguments)
        return run(config, float(arguments[1]) if arguments[:1] == ["--speed"] else PLAYED_AT)
    except (StartError, StoreError, SettingsError) as error:
        print(f"make run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
