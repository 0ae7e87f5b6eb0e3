"""Items as token rows: several lines packed into a row, each seeing only itself."""

import json
import random
from dataclasses import dataclass

import torch

BOS, EOS, PAD, VOCABULARY = 256, 257, 258, 260
ROW = 64
NO_LOSS = -100


@dataclass
class Batch:
    """Rows of ROW tokens; `line` numbers the line each token belongs to, -1 for padding."""

    tokens: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    line: torch.Tensor


def encode(prompt, answer):
    """Token ids of a line, and how many of them are the prompt's (with the beginning token)."""
    head = [BOS, *prompt.encode()]
    return head + [*answer.encode(), EOS], len(head)


def read_lines(path):
    """Encoded lines of a JSONL of items; lines longer than a row are left out."""
    with open(path) as file:
        items = (json.loads(text) for text in file)
        lines = [encode(item["prompt"], item["answer"]) for item in items]
    return [line for line in lines if len(line[0]) <= ROW]


def pack(lines):
    """Puts lines into as few rows as first-fit finds, longest first."""
    rows, room = [], []
    for line in sorted(lines, key=lambda line: -len(line[0])):
        size = len(line[0])
        at = next((i for i, left in enumerate(room) if left >= size), len(rows))
        if at == len(rows):
            rows.append([])
            room.append(ROW)
        rows[at].append(line)
        room[at] -= size
    return rows


def make_batch(lines):
    """Packs lines; the loss is on answers and end tokens only."""
    rows = pack(lines)
    tokens = torch.full((len(rows), ROW), PAD)
    positions = torch.zeros((len(rows), ROW), dtype=torch.long)
    targets = torch.full((len(rows), ROW), NO_LOSS)
    owner = torch.full((len(rows), ROW), -1)
    number = 0
    for r, row in enumerate(rows):
        at = 0
        for ids, prompt in row:
            end = at + len(ids)
            tokens[r, at:end] = torch.tensor(ids)
            positions[r, at:end] = torch.arange(len(ids))
            targets[r, at + prompt - 1 : end - 1] = torch.tensor(ids[prompt:])
            owner[r, at:end] = number
            at, number = end, number + 1
    return Batch(tokens, positions, targets, owner)


def batches(lines, size, seed):
    """Batches of `size` lines for ever, in a new order each time round."""
    order = list(lines)
    shuffler = random.Random(seed)
    while True:
        shuffler.shuffle(order)
        for at in range(0, max(len(order) - size, 0) + 1, size):
            yield make_batch(order[at : at + size])
