"""A Common Transfer File of 500 MB read through: time beside a bare expat with no handlers, and peak memory."""

import sys
import tempfile
from datetime import date
from pathlib import Path
from xml.parsers import expat

from appliance.exchange.ctf import CHUNK, read_ctf
from benchmarks.mis import run
from tests.exchange.files import ctf_pupil, element

MEGABYTES = 500


def measure() -> list[dict[str, object]]:
    """Seconds of both, and what ours holds at most beside what a bare parser does."""
    with tempfile.TemporaryDirectory() as folder:
        path, one = Path(folder) / "big.xml", element("Pupil", ctf_pupil()).encode()
        with path.open("wb") as file:
            file.write(b"<CTfile><CTFpupilData>")
            for _ in range(MEGABYTES * 1_000_000 // len(one)):
                file.write(one)
            file.write(b"</CTFpupilData></CTfile>")
        command = [sys.executable, "-m", "benchmarks.ctf", str(path)]
        ours, peer = run(Path(folder), [*command, "ours"]), run(Path(folder), [*command, "peer"])
        beside = "expat without handlers"
        return [
            {"name": f"a transfer file of {MEGABYTES} MB", "value": ours[0], "unit": "s", "peer": beside,
             "peer_value": peer[0]},
            {"name": f"a transfer file of {MEGABYTES} MB: peak memory", "value": ours[1], "unit": "MB", "peer": beside,
             "peer_value": peer[1]},
        ]  # fmt: skip


def _read(path: str, who: str) -> None:
    with open(path, "rb") as file:
        if who == "ours":
            assert sum(1 for _ in read_ctf(file, date(2026, 7, 1))) > 100_000
            return
        parser = expat.ParserCreate()
        while chunk := file.read(CHUNK):
            parser.Parse(chunk, False)
        parser.Parse(b"", True)


if __name__ == "__main__":
    _read(*sys.argv[1:])
