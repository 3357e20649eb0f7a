"""``make chaos``: the whole storm, and its figures. ``--events N`` makes fewer of them; --seed another day."""

import argparse
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.chaos.storm import FULL, Storm
from tests.chaos.test_chaos import check


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--events", type=int, default=FULL.total, help="events in all, of 50 devices")
    parser.add_argument("--seed", type=int, default=FULL.seed)
    parser.add_argument("--network-cut", type=float, default=FULL.network_cut, help="seconds")
    parser.add_argument("--rate", type=float, default=FULL.a_second, help="events a second and device")
    options = parser.parse_args(arguments)
    weather = replace(
        FULL,
        seed=options.seed,
        events=options.events // FULL.devices,
        network_cut=options.network_cut,
        a_second=options.rate,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and take everything down
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(Path(folder), weather, lambda line: print(line, file=sys.stderr, flush=True))
        try:
            count = storm.run()
        finally:
            storm.close()
    print("\n".join(count.lines()))
    check(count, weather.kills)
    return 0


if __name__ == "__main__":
    sys.exit(main())
