"""A trust of 100 academies taken in: 75,000 pupils, and a year of their marks, 28.5 million rows in one file.

Ours is ``appliance import-mis``, with matching, registers, and all that undoing needs. The peer is ``sqlite-utils
insert --csv`` of the same rows into a bare table; it is run on a tenth of the marks and its time multiplied. Times are
those of the processor, so that a busy machine counts less; memory is the peak of the process.
"""

import csv
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from appliance.exchange.upn import check_letter
from appliance.store.connection import open_system
from tests.factories import make_box

ACADEMIES = int(os.environ.get("TRUSTKEEP_BENCH_ACADEMIES", "100"))
PUPILS = 750
DAYS = 190
PEER_PART = 10
_CODES = "/" * 40 + "L" * 2 + "I" * 3 + "NMOBC"


def measure() -> list[dict[str, object]]:
    """Seconds and megabytes of both, for the pupils and for the marks."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "box"
        box = make_box(home)
        for n in range(ACADEMIES):
            box.db.conn.execute(
                "INSERT INTO academy (id, trust_id, name, short_name, laestab) VALUES (?, 'larch', ?, ?, ?)",
                [f"a{n:03d}", f"Academy {n}", f"A{n}", f"820{4000 + n}"],
            )
        box.db.close()
        pupils, marks, part = (Path(folder) / name for name in ("pupils.csv", "marks.csv", "part.csv"))
        _write_pupils(pupils)
        count = _write_marks(marks, part)
        rows: list[dict[str, object]] = []
        for name, ours, theirs, times in (
            ("75,000 pupils", pupils, pupils, 1),
            ("a year of marks", marks, part, PEER_PART),
        ):
            mine = run(home, [sys.executable, "-m", "appliance", "import-mis", str(ours), "--trust", "larch"])
            peer = run(home, ["sqlite-utils", "insert", f"{folder}/peer.db", ours.stem, str(theirs), "--csv"])
            beside = "sqlite-utils insert --csv" + (" (a tenth, times ten)" if times > 1 else "")
            rows.append({"name": f"{name} into the box", "value": mine[0], "unit": "s", "peer": beside,
                         "peer_value": peer[0] * times})  # fmt: skip
            rows.append({"name": f"{name}: peak memory", "value": mine[1], "unit": "MB", "peer": beside,
                         "peer_value": peer[1]})  # fmt: skip
        db = open_system(home / "data" / "trustkeep.db")
        (kept,) = db.conn.execute("SELECT sum(possible) FROM attendance").fetchone()
        print(f"  {count:,} marks written, {kept:,} possible sessions kept, box of {_megabytes(home):.0f} MB")
        db.close()
        return rows


def _upn(academy: int, n: int) -> str:
    body = f"820{4000 + academy}{n // 1000 + 15:02d}{n % 1000:03d}"
    return check_letter(body) + body


def _write_pupils(path: Path) -> None:
    chance = random.Random(3)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["upn", "mis_id", "surname", "forename", "dob", "sex", "year", "reg_group", "academy_laestab",
                      "sen", "fsm", "account"])  # fmt: skip
        for academy in range(ACADEMIES):
            for n in range(PUPILS):
                born = date(2009, 9, 1) + timedelta(days=chance.randrange(2500))
                out.writerow([_upn(academy, n), f"{academy:03d}{n:04d}", f"Tester{n % 400}", f"Child{n % 90}",
                              f"{born:%d/%m/%Y}", "FM"[n % 2], str(7 + n % 5), f"{7 + n % 5}A", f"820{4000 + academy}",
                              "NNNKE"[n % 5], "NY"[n % 4 == 0], f"u{academy:03d}{n:04d}"])  # fmt: skip


def _days() -> Iterator[date]:
    day, found = date(2025, 9, 1), 0
    while found < DAYS:
        if day.weekday() < 5:
            found += 1
            yield day
        day += timedelta(days=1)


def _write_marks(path: Path, part: Path) -> int:
    chance, head = random.Random(5), "UPN,Date,Session,Mark\n"
    days = [f"{day:%d/%m/%Y}" for day in _days()]
    with path.open("w", encoding="utf-8") as file, part.open("w", encoding="utf-8") as tenth:
        file.write(head)
        tenth.write(head)
        count = 0
        for academy in range(ACADEMIES):
            for n in range(PUPILS):
                upn, codes = _upn(academy, n), chance.choices(_CODES, k=2 * DAYS)
                lines = "".join(
                    f"{upn},{day},AM,{codes[2 * k]}\n{upn},{day},PM,{codes[2 * k + 1]}\n" for k, day in enumerate(days)
                )
                file.write(lines)
                if academy % PEER_PART == 0:
                    tenth.write(lines)
                count += 2 * DAYS
    return count


def run(home: Path, command: list[str]) -> tuple[float, float]:
    """Processor seconds and peak megabytes of a program."""
    if command[0] == "sqlite-utils":
        command = [str(Path(sys.executable).parent / "sqlite-utils"), *command[1:]]
    environment = {**os.environ, "TRUSTKEEP_HOME": str(home)}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, text=True)
        status, peak = Path(f"/proc/{process.pid}/status"), 0.0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            # what the kernel counts as the most ever held since the program began; ru_maxrss counts its parent's too
            hit = re.search(r"VmHWM:\s+(\d+)", status.read_text())
            peak = int(hit[1]) / 1024 if hit else peak
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(ended[1])
        said.seek(0)
        assert process.returncode == 0, said.read()
    return ended[2].ru_utime + ended[2].ru_stime, peak


def _megabytes(home: Path) -> float:
    return sum(path.stat().st_size for path in home.rglob("*.db*")) / 1e6
