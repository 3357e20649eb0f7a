"""How the box's programs speak: one plain line for each thing that happens.

The rule: what a pupil wrote, read or looked like never reaches a line. Ids, levels, counts, times and the names of
staff and devices may.
"""

import logging
import sys
from collections.abc import Callable
from datetime import datetime


def start_log(program: str) -> Callable[[str], None]:
    """Set up the program's log on standard output and return the function that says one line.

    Warnings of libraries come out in the same form.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)

    def say(line: str) -> None:
        print(f"{datetime.now().astimezone():%H:%M:%S}  {program:<8} {line}", flush=True)

    return say
