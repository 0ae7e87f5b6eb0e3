"""Turns a mixture of few wide experts into one of many narrow ones.

Each expert is split by what requests use of it: requests are clustered by how active its neurons
are, and each cluster's child keeps the neurons that matter most there. Then the router is fitted to
name parent and cluster, and the down projections are refitted to the parent's output by ridge
regression. What is still lost, training on recovers.
"""

import torch

from data import make_batch
from model import Decoder, Shape

ROUTER_STEPS = 300
RIDGE = 1e-2
SHARPNESS = 20.0


def upcycle(parent, lines, children, inner, active):
    """A decoder of `children` times the experts, `inner` neurons each, `active` a token."""
    wide = parent.shape
    shape = Shape(wide.width, wide.layers, inner, wide.experts * children, active)
    child = Decoder(shape)
    shared = {k: v for k, v in parent.state_dict().items() if "block_sparse_moe" not in k}
    child.load_state_dict(shared, strict=False)
    batch = make_batch(lines)
    with torch.no_grad():
        inputs = mixture_inputs(parent, batch)
    for old, new, x in zip(parent.mixtures(), child.mixtures(), inputs):
        split_mixture(old, new, x, batch.line[batch.line >= 0], children)
    return child


def mixture_inputs(decoder, batch):
    """What every mixture reads for the real tokens of a batch: one [tokens, width] a layer."""
    seen = []
    keep = lambda _module, arguments: seen.append(arguments[0][batch.line >= 0])
    hooks = [mixture.register_forward_pre_hook(keep) for mixture in decoder.mixtures()]
    decoder(batch)
    for hook in hooks:
        hook.remove()
    return seen


def split_mixture(old, new, x, line, children):
    """Fills `new` from `old`, given inputs `x` and the request `line` that each belongs to."""
    with torch.no_grad():
        _, weights, chosen = old.route(x)
        target = torch.zeros(len(x), len(new.w1))
        for expert in range(len(old.w1)):
            token, slot = torch.where(chosen == expert)
            closeness = split_expert(old, new, x[token], line[token], expert, children)
            at = slice(expert * children, (expert + 1) * children)
            target[token, at] = closeness * weights[token, slot, None]
        wanted = old(x)
    fit_router(old, new, x, target, children)
    with torch.no_grad():
        fit_down(new, x, wanted)


def split_expert(old, new, x, line, expert, children):
    """Fills one expert's children; tells each token's closeness to their clusters, summing to 1."""
    effect = old.activate(x, expert).abs() * old.w2[expert].norm(dim=0)
    requests, owner = line.unique(return_inverse=True)
    profile = torch.zeros(len(requests), effect.shape[1]).index_add(0, owner, effect)
    profile = torch.nn.functional.normalize(profile, dim=1)
    centres = k_means(profile, children)
    closeness = (profile @ centres.T * SHARPNESS).softmax(-1)
    inner = new.w1.shape[1]
    for cluster in range(children):
        at = expert * children + cluster
        kept = centres[cluster].topk(inner).indices
        new.w1[at] = old.w1[expert][kept]
        new.w3[at] = old.w3[expert][kept]
        new.w2[at] = old.w2[expert][:, kept]
    return closeness[owner]


def k_means(points, count, rounds=20):
    """Unit centres of `count` clusters of unit points, by cosine."""
    if len(points) < count:
        return torch.rand(count, points.shape[1])
    centres = points[torch.randperm(len(points))[:count]].clone()
    for _ in range(rounds):
        member = (points @ centres.T).argmax(1)
        for i in range(count):
            if (member == i).any():
                centres[i] = torch.nn.functional.normalize(points[member == i].mean(0), dim=0)
    return centres


def fit_router(old, new, x, target, children):
    """Starts at the parent's router and learns to name the clusters as well."""
    with torch.no_grad():
        new.gate.weight.copy_(old.gate.weight.repeat_interleave(children, 0))
    optimizer = torch.optim.Adam(new.gate.parameters(), lr=1e-2)
    for _ in range(ROUTER_STEPS):
        optimizer.zero_grad()
        picked = torch.randint(len(x), (2048,))
        surprise = -(target[picked] * new.gate(x[picked]).log_softmax(-1)).sum(-1).mean()
        surprise.backward()
        optimizer.step()


def fit_down(new, x, wanted):
    """Refits all down projections together, near what they are: ridge regression on `wanted`."""
    experts, width, inner = new.w2.shape
    _, weights, chosen = new.route(x)
    before = new.w2.permute(0, 2, 1).reshape(experts * inner, width)
    gram = torch.zeros(experts * inner, experts * inner)
    moment = torch.zeros(experts * inner, width)
    for part in torch.arange(len(x)).split(4096):
        features = torch.zeros(len(part), experts, inner)
        for expert in range(experts):
            token, slot = torch.where(chosen[part] == expert)
            active = new.activate(x[part][token], expert)
            features[token, expert] = active * weights[part][token, slot, None]
        flat = features.flatten(1)
        gram += flat.T @ flat
        moment += flat.T @ (wanted[part] - flat @ before)
    gram += torch.eye(len(gram)) * RIDGE * gram.diagonal().mean()
    after = before + torch.linalg.solve(gram, moment)
    new.w2.copy_(after.view(experts, inner, width).permute(0, 2, 1))
