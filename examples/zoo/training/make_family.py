"""Makes a family from the generator: a small dense level and a giant of many experts."""

import argparse
import os
import subprocess
import time
from dataclasses import dataclass

import torch

from data import read_lines
from export import export
from measure import exact_match
from model import Decoder, Shape
from train import Plan, train
from upcycle import upcycle

HERE = os.path.dirname(os.path.abspath(__file__))
GENERATOR = os.path.join(HERE, "..", "tasks", "main.ts")
EASIER = "0.34,0.34,0.19,0.13"


@dataclass
class Recipe:
    """Sizes and times of everything that is made."""

    items: int
    small: Shape
    small_plan: Plan
    parent: Shape
    parent_plan: Plan
    children: int
    inner: int
    active: int
    upcycle_lines: int
    giant_plan: Plan
    test_items: int


FULL = Recipe(
    items=1_200_000,
    small=Shape(96, 3, 256),
    small_plan=Plan(rate=3.5e-3, lines=128, seconds=1173),
    parent=Shape(192, 6, 256, experts=8, active=2),
    parent_plan=Plan(rate=1.2e-3, lines=216, seconds=2281, balance=0.01),
    children=4,
    inner=96,
    active=4,
    upcycle_lines=1500,
    giant_plan=Plan(rate=1.2e-3, lines=216, seconds=1046, balance=0.003, focus=0.003, seed=2),
    test_items=2000,
)

QUICK = Recipe(
    items=20_000,
    small=Shape(32, 2, 64),
    small_plan=Plan(rate=3.5e-3, lines=64, seconds=12),
    parent=Shape(64, 2, 64, experts=4, active=2),
    parent_plan=Plan(rate=3e-3, lines=64, seconds=18, balance=0.01),
    children=4,
    inner=24,
    active=4,
    upcycle_lines=300,
    giant_plan=Plan(rate=1.2e-3, lines=64, seconds=12, balance=0.003, focus=0.003, seed=2),
    test_items=100,
)


def main():
    options = read_options()
    recipe = QUICK if options.quick else FULL
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    os.makedirs(options.out, exist_ok=True)
    easy = generate(options, "train-easier", "train", recipe.items, EASIER)
    items = generate(options, "train", "train", recipe.items)
    test = generate(options, "test", "test", recipe.test_items)
    small = stage("small", lambda: make_small(recipe, read_lines(easy)))
    finish(small, "small", options.out, test, recipe.test_items)
    giant = stage("giant", lambda: make_giant(recipe, read_lines(items)))
    finish(giant, "giant", options.out, test, recipe.test_items)


def make_small(recipe, lines):
    small = Decoder(recipe.small)
    train(small, lines, recipe.small_plan)
    return small


def make_giant(recipe, lines):
    parent = Decoder(recipe.parent)
    train(parent, lines, recipe.parent_plan)
    sample = lines[: recipe.upcycle_lines]
    giant = stage(
        "upcycling", lambda: upcycle(parent, sample, recipe.children, recipe.inner, recipe.active)
    )
    train(giant, lines, recipe.giant_plan)
    return giant


def generate(options, name, split, count, difficulties=None):
    """Items of the generator as a file; a file that is already there stays."""
    path = os.path.join(options.out, f"{name}.jsonl")
    if not os.path.exists(path):
        command = [options.deno, "run", GENERATOR, "--split", split, "--count", str(count)]
        command += ["--seed", str(options.seed)]
        command += ["--difficulties", difficulties] if difficulties else []
        with open(path + ".part", "w") as file:
            subprocess.run(command, stdout=file, check=True)
        os.rename(path + ".part", path)
    return path


def stage(name, work):
    print(f"{name}:", flush=True)
    started = time.monotonic()
    made = work()
    print(f"{name} made in {time.monotonic() - started:.0f} s", flush=True)
    return made


def finish(decoder, name, out, test, count):
    folder = os.path.join(out, name)
    export(decoder, folder)
    parameters = sum(p.numel() for p in decoder.parameters())
    share = exact_match(decoder, test, count)
    print(f"{folder}: {parameters:,} parameters, exact match {share:.1%} of {count}", flush=True)


def read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="family", help="folder to write to (family)")
    parser.add_argument("--quick", action="store_true", help="a tiny family in about a minute")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads (all)")
    parser.add_argument("--seed", type=int, default=1, help="of weights and items (1)")
    parser.add_argument("--deno", default="deno", help="how to call Deno (deno)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
