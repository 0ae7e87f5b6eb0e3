"""Trains a decoder for so many seconds, or steps."""

import math
import time
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from data import NO_LOSS, batches

WARM_UP = 0.03


@dataclass
class Plan:
    """How to train: the peak rate, lines a batch, seconds, and weights of the router's losses."""

    rate: float
    lines: int
    seconds: float
    balance: float = 0.0
    focus: float = 0.0
    seed: int = 1


def train(decoder, lines, plan, say=print):
    """Trains in place; warm-up, then cosine, both by elapsed time."""
    optimizer = torch.optim.AdamW(groups(decoder), lr=plan.rate, betas=(0.9, 0.98))
    started = time.monotonic()
    for step, batch in enumerate(batches(lines, plan.lines, plan.seed)):
        share = (time.monotonic() - started) / plan.seconds
        if share >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * rate(share)
        optimizer.zero_grad(set_to_none=True)
        loss = answer_loss(decoder(batch), batch)
        (loss + router_loss(decoder, batch, plan)).backward()
        torch.nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            say(f"  step {step}, {share:.0%} of the time, loss {loss.item():.3f}")
    say(f"  {step} steps, {step * plan.lines} lines, {time.monotonic() - started:.0f} s")


def groups(decoder):
    """Weight decay on matrices, none on the norms."""
    matrices = [p for p in decoder.parameters() if p.dim() > 1]
    vectors = [p for p in decoder.parameters() if p.dim() == 1]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]


def rate(share):
    if share < WARM_UP:
        return share / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP))


def answer_loss(logits, batch):
    return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=NO_LOSS)


def router_loss(decoder, batch, plan):
    """`balance` spreads tokens over the experts; `focus` keeps each line to few of them."""
    line = batch.line.flatten()
    real = line >= 0
    total = torch.zeros(())
    for mixture in decoder.mixtures():
        distribution, chosen = (part[real] for part in mixture.routing)
        total = total + plan.balance * imbalance(distribution, chosen)
        if plan.focus:
            total = total + plan.focus * line_entropy(distribution, line[real])
    return total


def imbalance(distribution, chosen):
    """1 when every expert gets its share, more when some get the most."""
    experts = distribution.shape[-1]
    load = F.one_hot(chosen, experts).float().mean((0, 1))
    return experts * (load * distribution.mean(0)).sum()


def line_entropy(distribution, line):
    """The entropy of each line's mean routing distribution, averaged over lines."""
    sums = torch.zeros(int(line.max()) + 1, distribution.shape[-1]).index_add(0, line, distribution)
    means = sums / sums.sum(-1, keepdim=True)
    return -(means * (means + 1e-9).log()).sum(-1).mean()
