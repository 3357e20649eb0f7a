"""CPU seconds and word recall for a screenshot, beside the tesseract command line and RapidOCR on the same screens.

RapidOCR is measured where it is installed (``rapidocr-onnxruntime``, with ``--no-deps``): it is no dependency of ours.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2

from benchmarks.screens_bench import measure_folder, render

SEED = 1
SECONDS_ALLOWED = 600.0
"""Generous: the machine may be busy, and every screen must be read to its end to be compared."""


def measure() -> list[dict[str, object]]:
    """Rows of seconds a screen, recall, precision and characters wrong; and the peak memory of a process that reads."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render(folder, SEED)
        ours = _ours(folder)
        peers = {"tesseract command line": measure_folder(folder, _command_line, show=False)}
        if importlib.util.find_spec("rapidocr_onnxruntime"):
            peers["rapidocr-onnxruntime"] = measure_folder(folder, _rapid(), show=False)
        memory = _peak_memory(folder)
    rows: list[dict[str, object]] = []
    for peer, theirs in peers.items():
        for key, what, unit, scale in (
            ("seconds", "CPU time for a screenshot", "s", 1.0),
            ("recall", "words read", "%", 100.0),
            ("precision", "words read that are there", "%", 100.0),
            ("cer", "characters wrong", "%", 100.0),
            ("worst", "words read of the worst screen", "%", 100.0),
        ):
            rows.append({"name": f"reading: {what}", "value": ours[key] * scale, "unit": unit, "peer": peer,
                         "peer_value": theirs[key] * scale})  # fmt: skip
    rows.append({"name": "reading and scoring: peak memory of a worker's engines", "value": memory["both"],
                 "unit": "MB", "peer": "Python with OpenCV alone", "peer_value": memory["bare"]})  # fmt: skip
    return rows


def _ours(folder: Path) -> dict[str, float]:
    from appliance.ocr import Reader
    from appliance.ocr.readers import ALWAYS

    reader = Reader(ALWAYS, cache_lines=0, seconds_allowed=SECONDS_ALLOWED)
    return measure_folder(folder, lambda image: reader.read(image).text, show=False)


def _command_line(image: bytes) -> str:
    """Tesseract's own program as a person would call it."""
    done = subprocess.run(
        ["tesseract", "-", "-", "--psm", "3"], input=_as_png(image), capture_output=True, check=True,
        env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.stdout.decode()


def _as_png(image: bytes) -> bytes:
    """The command line reads WebP only where its library was built with it."""
    import numpy as np

    return cv2.imencode(".png", cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR))[1].tobytes()


def _rapid():  # type: ignore[no-untyped-def]
    import numpy as np
    from rapidocr_onnxruntime import RapidOCR

    engine = RapidOCR(intra_op_num_threads=1, inter_op_num_threads=1)

    def read(image: bytes) -> str:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        found, _ = engine(pixels, use_cls=False)
        return "\n".join(line[1] for line in found or ())

    return read


_READ_ALL = """
import resource, sys
from pathlib import Path
import cv2
from benchmarks.screens_bench import screens_of
screens = screens_of(Path(sys.argv[2]))
if sys.argv[1] == "both":
    from appliance.ocr import Readers
    from appliance.scoring.scorer import Scorer
    readers, scorer = Readers(), Scorer()
    for screen in screens[:12]:
        scorer.score_event("the bus was late again", (), readers.read(screen.read_bytes()).text)
else:
    for screen in screens[:12]:
        cv2.imread(str(screen))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def _peak_memory(folder: Path) -> dict[str, float]:
    return {
        what: float(
            subprocess.run(
                [sys.executable, "-c", _READ_ALL, what, str(folder)], capture_output=True, check=True, text=True
            ).stdout.split()[-1]
        )
        for what in ("both", "bare")
    }
