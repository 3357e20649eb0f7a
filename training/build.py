"""Builds the scoring model: ``python -m training.build`` reads the texts and writes the model's folder.

Takes well under an hour on two cores. The same texts, seed and versions give the same model.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from appliance.safeguarding.severity import CATEGORIES, Category
from appliance.scoring.model import MODEL_FOLDER, ScoringModel
from appliance.scoring.normalise import normalise
from appliance.scoring.scorer import Scorer
from training.calibrate import IDENTITY, Raw, fit_calibration, fit_thresholds
from training.compose import compose_items
from training.data import Item, count_items, data_hash, read_items, split_items
from training.encoder import BASE_SHA256, RiskEncoder, base_folder
from training.export import quantise, write_onnx
from training.fit import Plan, fit, pad
from training.measure import auc, measure_items, measure_public

NAME, VERSION = "trustkeep-text", "1"
DATA_FOLDER = Path(__file__).with_name("data")
LARGEST_FILE = 30_000_000
COMPOSED_WATCHED = 600
"""Composed texts of patterns kept from training, on which thresholds are checked for ordinary false alarms."""
MOST_TEXT_READINGS = 90_000
"""Texts times epochs that fit the time allowed; a larger collection gets fewer epochs, never fewer than four."""
CATEGORY_ORDER: tuple[Category, ...] = tuple(category for category in CATEGORIES if category is not Category.NONE)


def main() -> int:
    """Build, measure, print the measures. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the scoring model from training/data.")
    parser.add_argument("--data", type=Path, default=DATA_FOLDER, help="folder of part_*.jsonl training texts")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="folder to write the model to")
    parser.add_argument("--public", type=Path, help="folder of public sets, for measuring false alarms only")
    parser.add_argument("--epochs", type=int, help="passes over the texts (by default as many as fit the time)")
    parser.add_argument("--seed", type=int, default=Plan().seed)
    parser.add_argument(
        "--keep-weights", action="store_true", help="only fit thresholds and measure the model in --out"
    )
    options = parser.parse_args()
    began = time.monotonic()
    items, faults = read_items(options.data.glob("part_*.jsonl"))
    print(f"{len(items)} texts, {len(faults)} lines left out", *faults[:20], sep="\n  ")
    split = split_items(items)
    epochs = options.epochs or min(Plan().epochs, max(4, MOST_TEXT_READINGS // max(len(split["train"]), 1)))
    plan = replace(Plan(), seed=options.seed, epochs=epochs)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        if options.keep_weights:
            shutil.copytree(options.out, folder)
            if json.loads((folder / "model.json").read_text())["data"]["sha256"] != data_hash(items):
                raise SystemExit("The model was trained on other texts than these: build it anew.")
            calibrate_model(folder, split["dev"])
        else:
            build_model(items, split, plan, folder)
        measures = {name: measure_items(Scorer(folder), split[name]) for name in ("dev", "test")}
        if options.public:
            measures["public"] = measure_public(Scorer(folder), options.public)
        card = json.loads((folder / "model.json").read_text())
        _write_card(folder, {**card, "measures": _rounded(measures)})
        options.out.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.iterdir()):
            shutil.copyfile(file, options.out / file.name)
    print(json.dumps(_rounded(measures), indent=1))
    print(f"{options.out.name} written after {(time.monotonic() - began) / 60:.0f} minutes")
    return 0


def build_model(items: Sequence[Item], split: dict[str, list[Item]], plan: Plan, folder: Path) -> None:
    """Train, export, quantise and calibrate into ``folder``: model.onnx, tokenizer.json, model.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _write_tokenizer(base_folder() / "tokenizer.json", folder / "tokenizer.json")
    known = frozenset(tokenizer.get_vocab()).__contains__

    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(normalise(text, known)).ids)

    model = RiskEncoder(tokenizer.get_vocab_size(), len(CATEGORY_ORDER), plan.dropout)
    model.load_base(base_folder())
    trained = fit(split["train"], CATEGORY_ORDER, encode, model, plan, _reporter(split["dev"], encode))
    whole = folder / "whole.onnx"
    write_onnx(trained, whole)
    quantise(whole, folder / "model.onnx")
    whole.unlink()
    size = (folder / "model.onnx").stat().st_size
    if size > LARGEST_FILE:
        raise RuntimeError(f"The model takes {size} bytes, more than the {LARGEST_FILE} it may.")
    card = _card(items, split, plan, folder)
    flat = {"category": dict.fromkeys(card["categories"], 0.5), "level": [0.5] * 4}
    _write_card(folder, {**card, "calibration": IDENTITY, "thresholds": flat})
    calibrate_model(folder, split["dev"])


def calibrate_model(folder: Path, dev: Sequence[Item]) -> None:
    """Fit calibration and thresholds of the model in ``folder`` on ``dev`` and on composed texts of unseen patterns."""
    card = json.loads((folder / "model.json").read_text())
    model = ScoringModel(folder)
    calibration = fit_calibration(run_all(model, dev), dev, CATEGORY_ORDER)
    watched = [*dev, *compose_items(COMPOSED_WATCHED, "watched", held_out=True)]
    thresholds = fit_thresholds(run_all(model, watched), watched, CATEGORY_ORDER, calibration)
    _write_card(folder, {**card, "calibration": calibration, "thresholds": thresholds})


def run_all(model: ScoringModel, items: Sequence[Item]) -> Raw:
    """The finished file's logits for ``items``, one text at a time as on the box."""
    outputs = [model.run(model.normalise(item.text)) for item in items]
    return Raw(
        np.stack([category for category, _, _ in outputs]),
        np.stack([severity for _, severity, _ in outputs]),
        np.array([risk for _, _, risk in outputs]),
    )


def _reporter(dev: Sequence[Item], encode: Any) -> Any:
    """Prints the ranking on the development texts after each epoch; nothing is chosen by it."""
    import torch

    ids = [encode(item.text)[:128] for item in dev]

    def report(epoch: int, model: RiskEncoder) -> None:
        with torch.no_grad():
            outputs = [model(*pad(ids[start : start + 32])) for start in range(0, len(ids), 32)]
        risk = torch.cat([risk for _, _, risk in outputs]).tolist()
        serious = torch.cat([severity[:, 2] for _, severity, _ in outputs]).tolist()
        category = torch.cat([category for category, _, _ in outputs]).argmax(1).tolist()
        right = [CATEGORY_ORDER[c] is item.category for c, item in zip(category, dev, strict=True) if item.is_risk]
        hard = [place for place, item in enumerate(dev) if item.kind != "ordinary"]
        print(
            f"  dev: auc {auc(risk, [item.is_risk for item in dev]):.4f}"
            f" without ordinary {auc([risk[p] for p in hard], [dev[p].is_risk for p in hard]):.4f}"
            f" level>=4 {auc(serious, [item.is_risk and item.severity >= 4 for item in dev]):.4f}"
            f" category right {sum(right) / max(len(right), 1):.3f}",
            flush=True,
        )

    return report


def _write_tokenizer(source: Path, target: Path) -> Tokenizer:
    """The base model's tokenizer without the padding and truncation it comes with."""
    tokenizer = Tokenizer.from_file(str(source))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(target), pretty=False)
    return tokenizer


def _card(items: Sequence[Item], split: dict[str, list[Item]], plan: Plan, folder: Path) -> dict[str, Any]:
    """What there is to say of the model before it is calibrated."""
    return {
        "name": NAME,
        "version": VERSION,
        "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        "tokenizer_sha256": hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest(),
        "base": {"name": "all-MiniLM-L6-v2", "licence": "Apache-2.0", "sha256": BASE_SHA256},
        "categories": [category.value for category in CATEGORY_ORDER],
        "data": {
            "sha256": data_hash(items),
            "items": len(items),
            "splits": {name: count_items(part) for name, part in split.items()},
        },
        "plan": {"seed": plan.seed, "epochs": plan.epochs},
    }


def _write_card(folder: Path, card: dict[str, Any]) -> None:
    (folder / "model.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    raise SystemExit(main())
