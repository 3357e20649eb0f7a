"""Reads image files named on the command line and prints what they say."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from appliance.ocr.reader import Reader
from appliance.safeguarding.event import Reading, UnreadableImageError


def read_files(paths: Iterable[Path], reader: Reader, out: TextIO, *, as_json: bool = True) -> int:
    """Reads each file and prints it to ``out`` at once. 1 if any couldn't be read, the others all the same; else 0.

    as_json: one object a line, {"file", "text", "words": [{"text", "box": [x, y, width, height], "confidence"}],
    "seconds"}, and "error" after "file" where a file couldn't be read. Otherwise a heading a file and its text.
    """
    failures = 0
    for path in paths:
        started = time.perf_counter()
        error, reading = "", None
        try:
            reading = reader.read(path.read_bytes())
        except UnreadableImageError as unreadable:
            error = str(unreadable)
        except OSError as fault:
            error = f"The file can't be opened: {fault.strerror}."
        failures += bool(error)
        if as_json:
            seconds = reading.seconds if reading else time.perf_counter() - started
            line = json.dumps(_describe(path, reading, error, seconds), ensure_ascii=False)
        else:
            line = f"== {path}\n{reading.text if reading else error}\n"
        print(line, file=out, flush=True)
    return 1 if failures else 0


def _describe(path: Path, reading: Reading | None, error: str, seconds: float) -> dict[str, object]:
    words = reading.words if reading else ()
    return {
        "file": str(path),
        **({"error": error} if error else {}),
        "text": reading.text if reading else "",
        "words": [{"text": w.text, "box": list(w.box), "confidence": round(w.confidence, 1)} for w in words],
        "seconds": round(seconds, 4),
    }
