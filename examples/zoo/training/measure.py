"""Exact match of greedy answers."""

import json

import torch

from data import BOS, EOS, Batch

CONTEXT = 96


def exact_match(decoder, path, count):
    """The share of the first `count` items of a JSONL that the decoder answers exactly."""
    with open(path) as file:
        items = [json.loads(text) for text, _ in zip(file, range(count))]
    return sum(answer(decoder, item["prompt"]) == item["answer"] for item in items) / len(items)


@torch.no_grad()
def answer(decoder, prompt):
    """The greedy answer, without a cache: lines are short."""
    ids = [BOS, *prompt.encode()]
    start = len(ids)
    while len(ids) < CONTEXT:
        tokens = torch.tensor([ids])
        positions = torch.arange(len(ids))[None]
        logits = decoder(Batch(tokens, positions, tokens, torch.zeros_like(tokens)))
        token = int(logits[0, -1].argmax())
        if token == EOS:
            break
        ids.append(token)
    return bytes(token for token in ids[start:] if token < 256).decode("utf-8", "replace")
