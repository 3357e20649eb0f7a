"""Fine-tunes the encoder: category, level and risk at once, with pairs of near-identical texts pulled apart."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from appliance.safeguarding.severity import Category
from training.compose import compose_items
from training.data import Item
from training.encoder import MAX_PIECES, RiskEncoder
from training.noise import add_noise, among_others


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. learning_rate is the encoder's; the heads learn head_factor times as fast."""

    seed: int = 20250901
    epochs: int = 5
    batch: int = 32
    learning_rate: float = 1e-4
    head_factor: float = 8.0
    layer_decay: float = 0.9
    weight_decay: float = 0.02
    warm_up: float = 0.1
    noised: float = 0.45
    among: float = 0.15
    composed: float = 0.5
    margin: float = 3.0
    pair_weight: float = 0.3
    category_weight: float = 0.5
    level_weight: float = 2.0
    dropout: float = 0.1
    average: float = 0.99
    threads: int = 1
    train_words: bool = True


def fit(
    train: Sequence[Item],
    categories: Sequence[Category],
    encode: Callable[[str], list[int]],
    model: RiskEncoder,
    plan: Plan,
    after_epoch: Callable[[int, RiskEncoder], None],
) -> RiskEncoder:
    """Train ``model`` on ``train`` and return its running average. The same plan and items give the same weights.

    Each epoch sees freshly composed ordinary texts as well.
    encode: text to word piece ids with end marks. after_epoch: told of each epoch's running average.
    """
    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    optimiser = torch.optim.AdamW(_parameter_groups(model, plan), weight_decay=plan.weight_decay, fused=True)
    bases = [group["lr"] for group in optimiser.param_groups]
    average = {name: value.detach().clone() for name, value in model.state_dict().items()}
    averaged = RiskEncoder(model.words.num_embeddings, len(categories), plan.dropout)
    composed = round(len(train) * plan.composed)
    steps = 0
    total = plan.epochs * (-(-(len(train) + composed) // plan.batch))
    for epoch in range(plan.epochs):
        began = time.monotonic()
        model.train()
        seen = 0.0
        items = [*train, *compose_items(composed, f"{plan.seed}:{epoch}", held_out=False)]
        batches = _batches(items, encode, plan, epoch)
        for members, texts in batches:
            for group, base in zip(optimiser.param_groups, bases, strict=True):
                group["lr"] = base * _pace(steps / total, plan.warm_up)
            loss = batch_loss(model, [items[index] for index in members], texts, categories, plan)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            steps += 1
            keep = min(plan.average, (1 + steps) / (10 + steps))
            for name, value in model.state_dict().items():
                average[name].lerp_(value, 1 - keep)
            seen += float(loss.detach())
        averaged.load_state_dict(average)
        averaged.eval()
        print(f"epoch {epoch + 1}: loss {seen / len(batches):.4f}, {time.monotonic() - began:.0f} s", flush=True)
        after_epoch(epoch, averaged)
    return averaged


def batch_loss(
    model: RiskEncoder, items: Sequence[Item], ids: Sequence[list[int]], categories: Sequence[Category], plan: Plan
) -> Tensor:
    """The loss of one batch: any risk, category, level, and the margin between a risk text and its benign twin."""
    category, severity, risk = model(*pad(ids))
    is_risk = torch.tensor([float(item.is_risk) for item in items])
    loss = functional.binary_cross_entropy_with_logits(risk, 0.02 + 0.96 * is_risk)
    loss = loss + functional.binary_cross_entropy_with_logits(category, _category_targets(items, categories)) * 8
    risks = [row for row, item in enumerate(items) if item.is_risk]
    if risks:
        # which category, told apart from whether there is one at all
        named = torch.tensor([categories.index(items[row].category) for row in risks])
        loss = loss + functional.cross_entropy(category[risks], named, label_smoothing=0.05) * plan.category_weight
    loss = loss + functional.binary_cross_entropy_with_logits(severity, _severity_targets(items)) * plan.level_weight
    gaps = _pair_gaps(items, risk)
    if gaps is not None:
        loss = loss + plan.pair_weight * functional.softplus(plan.margin - gaps).mean()
    return loss


def pad(ids: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Lists of ids to one tensor and its mask, true where there is a piece: both (batch, longest)."""
    longest = max(len(one) for one in ids)
    padded = torch.zeros((len(ids), longest), dtype=torch.long)
    mask = torch.zeros((len(ids), longest), dtype=torch.bool)
    for row, one in enumerate(ids):
        padded[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = True
    return padded, mask


def _category_targets(items: Sequence[Item], categories: Sequence[Category]) -> Tensor:
    """Softened targets. A risk text may speak of a second category that nobody wrote down, so its others are softer."""
    return torch.tensor(
        [
            [0.95 if item.category is category else 0.02 if item.is_risk else 0.005 for category in categories]
            for item in items
        ]
    )


def _severity_targets(items: Sequence[Item]) -> Tensor:
    """For levels 2, 3, 4, 5: near 1 up to the item's level, softer at its edge, since readers differ by one level."""
    rows: list[list[float]] = []
    for item in items:
        if not item.is_risk:
            rows.append([0.01] * 4)
            continue
        steps = [item.severity - level for level in (2, 3, 4, 5)]
        rows.append([0.97 if step > 0 else 0.88 if step == 0 else 0.12 if step == -1 else 0.02 for step in steps])
    return torch.tensor(rows)


def _pair_gaps(items: Sequence[Item], risk: Tensor) -> Tensor | None:
    """How far each risk text in the batch stands above each of its benign twins; None if there are none."""
    by_pair: dict[str, list[int]] = defaultdict(list)
    for row, item in enumerate(items):
        if item.pair is not None:
            by_pair[item.pair].append(row)
    gaps = [
        risk[first] - risk[second]
        for rows in by_pair.values()
        for first in rows
        for second in rows
        if items[first].is_risk and not items[second].is_risk
    ]
    return torch.stack(gaps) if gaps else None


def _batches(
    items: Sequence[Item], encode: Callable[[str], list[int]], plan: Plan, epoch: int
) -> list[tuple[list[int], list[list[int]]]]:
    """One epoch's batches: twins side by side, texts of like length together, noise fresh and fixed by the seed."""
    chance = random.Random(f"{plan.seed}:{epoch}")
    others = [item.text for item in items if item.kind == "ordinary"]
    ids: list[list[int]] = []
    for item in items:
        text = item.text
        if chance.random() < plan.among:
            text = among_others(text, others, chance)
        if chance.random() < plan.noised:
            text = add_noise(text, chance)
        pieces = encode(text)
        ids.append(pieces if len(pieces) <= MAX_PIECES else [*pieces[: MAX_PIECES - 1], pieces[-1]])
    by_pair: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_pair[item.pair or f"alone:{index}"].append(index)
    groups = list(by_pair.values())
    chance.shuffle(groups)
    stretch = plan.batch * 12
    batches: list[tuple[list[int], list[list[int]]]] = []
    for start in range(0, len(groups), stretch):
        near = sorted(groups[start : start + stretch], key=lambda group: max(len(ids[index]) for index in group))
        order = [index for group in near for index in group]
        for place in range(0, len(order), plan.batch):
            members = order[place : place + plan.batch]
            batches.append((members, [ids[index] for index in members]))
    chance.shuffle(batches)
    return batches


def _parameter_groups(model: RiskEncoder, plan: Plan) -> list[dict[str, object]]:
    """Lower layers learn slower: what they know of English is worth keeping."""
    depth = len(model.layers)
    groups: list[dict[str, object]] = []
    lowest = plan.learning_rate * plan.layer_decay ** (depth + 1)
    embeddings = [model.positions.weight, *model.embedding_norm.parameters()]
    if plan.train_words:
        embeddings.append(model.words.weight)
    else:
        model.words.weight.requires_grad_(False)
    groups.append({"params": embeddings, "lr": lowest})
    for number, layer in enumerate(model.layers):
        rate = plan.learning_rate * plan.layer_decay ** (depth - number)
        groups.append({"params": list(layer.parameters()), "lr": rate})
    heads = [p for part in (model.dense, model.category, model.severity, model.risk) for p in part.parameters()]
    groups.append({"params": heads, "lr": plan.learning_rate * plan.head_factor})
    return groups


def _pace(done: float, warm_up: float) -> float:
    """The share of the learning rate at ``done`` (0 to 1): up in a straight line, then down in one."""
    if done < warm_up:
        return done / warm_up
    return max(0.02, (1 - done) / (1 - warm_up))
