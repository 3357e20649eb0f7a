"""Lists near-duplicates among the training texts by meaning: ``python -m training.duplicates``.

Needs ``requirements/model.txt``, not the box. Embeds every text with the base encoder (all-MiniLM-L6-v2, the mean of
its last layer) and prints pairs whose cosine is 0.95 or more;
with ``--across`` only those that stand in different splits.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.data import Item, read_items, split_items

DATA_FOLDER = Path(__file__).with_name("data")
LEAST_COSINE = 0.95
BATCH = 64
MOST_PIECES = 128


def near_pairs(vectors: np.ndarray, least: float = LEAST_COSINE, block: int = 1000) -> Iterator[tuple[int, int, float]]:
    """Pairs of rows, first before second, whose cosine is ``least`` or more. vectors: (n, d), each of length 1."""
    for start in range(0, len(vectors), block):
        cosines = vectors[start : start + block] @ vectors[start:].T
        for row, column in np.argwhere(cosines >= least):
            if column > row:
                yield start + int(row), start + int(column), float(cosines[row, column])


def embed(texts: Sequence[str]) -> np.ndarray:
    """One vector of length 1 for each text, (n, 384)."""
    import torch
    from tokenizers import Tokenizer

    from training.encoder import RiskEncoder, base_folder
    from training.fit import pad

    folder = base_folder()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_PIECES)
    model = RiskEncoder(tokenizer.get_vocab_size(), 1, 0.0)
    model.load_base(folder)
    model.eval()
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
    vectors = np.zeros((len(ids), 384), np.float32)
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            vectors[places] = mean_of_last_layer(model, *pad([ids[at] for at in places]))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def mean_of_last_layer(model: Any, tokens: Any, mask: Any) -> np.ndarray:
    """The mean of the last layer over each text's own pieces, (n, 384)."""
    states = model.embedding_norm(model.words(tokens) + model.positions.weight[: tokens.shape[1]])
    for layer in model.layers:
        states = layer(states, mask[:, None, None, :])
    kept = mask[:, :, None]
    return np.asarray(((states * kept).sum(1) / kept.sum(1)).numpy())


def main() -> int:
    """Print the pairs and their number. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Near-duplicates among the training texts.")
    parser.add_argument("--data", type=Path, default=DATA_FOLDER)
    parser.add_argument("--least", type=float, default=LEAST_COSINE)
    parser.add_argument("--across", action="store_true", help="only pairs in different splits")
    options = parser.parse_args()
    items, _ = read_items(options.data.glob("part_*.jsonl"))
    where = {item.text: name for name, part in split_items(items).items() for item in part}
    found = 0
    for first, second, cosine in near_pairs(embed([item.text for item in items]), options.least):
        one, two = items[first], items[second]
        if options.across and where[one.text] == where[two.text]:
            continue
        found += 1
        print(f"{cosine:.3f}  {_place(one, where)}  {_place(two, where)}\n   {one.text!r}\n   {two.text!r}")
    print(f"{found} pairs of {len(items)} texts at {options.least} or more")
    return 0


def _place(item: Item, where: dict[str, str]) -> str:
    return f"{where[item.text]}/{item.category.value}"


if __name__ == "__main__":
    raise SystemExit(main())
