"""``make bench``: every figure beside a raw limit or a peer measured in the same run, as a ratio.

Each module of this folder with a ``measure()`` gives rows; all are printed and written to ``benchmarks/results.md``.
"""

import importlib
import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = ("agent_bench", "devices", "events", "scope", "way", "reading", "scoring", "mis", "ctf")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure and its peer. ratio = value / peer."""

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float

    @property
    def ratio(self) -> float:
        return self.value / self.peer_value if self.peer_value else float("nan")


def _table(rows: list[Row]) -> str:
    lines = ["| what | figure | beside | its figure | ratio |", "|---|---:|---|---:|---:|"]
    for row in rows:
        figure, peer = (f"{_round(value)} {row.unit}" for value in (row.value, row.peer_value))
        lines.append(f"| {row.name} | {figure} | {row.peer} | {peer} | {row.ratio:.2f} |")
    return "\n".join(lines)


def _round(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all of them."""
    rows: list[Row] = []
    for name in names or MODULES:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        module = importlib.import_module(f"benchmarks.{name}")
        rows += [
            Row(row["name"], row["value"], row["unit"], row["peer"], row["peer_value"]) for row in module.measure()
        ]
    table = _table(rows)
    print(table)
    if not names:
        head = (
            "# Measured\n\nWritten by `make bench`. Compare ratios, not absolutes: each peer ran in the same run, on"
            f" the same machine.\n\n{datetime.now(UTC):%d %B %Y}; {os.cpu_count()} cores, {platform.machine()},"
            f" Python {platform.python_version()}.\n\n"
        )
        (FOLDER / "results.md").write_text(head + table + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
