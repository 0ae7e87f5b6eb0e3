"""A decoder with the parameter names of Hugging Face's Llama, or of its Mixtral when it has experts.

The experts of a layer are stacked in one parameter here and taken apart by export.py.
"""

import torch
from torch import nn
from torch.nn import functional as F

from data import VOCABULARY

HEAD = 32
THETA = 10000.0
EPSILON = 1e-5


class Shape:
    """Sizes of a decoder; `experts` 0 makes it dense."""

    def __init__(self, width, layers, inner, experts=0, active=0):
        if width % HEAD != 0 or active > experts:
            raise ValueError(f"width in steps of {HEAD}, active <= experts: {width}, {active}")
        self.width, self.layers, self.inner = width, layers, inner
        self.heads, self.experts, self.active = width // HEAD, experts, active


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * self.weight


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads = shape.heads
        self.q_proj = linear(shape.width, shape.width)
        self.k_proj = linear(shape.width, shape.width)
        self.v_proj = linear(shape.width, shape.width)
        self.o_proj = linear(shape.width, shape.width)

    def forward(self, x, rotation, mask):
        rows, length, width = x.shape
        split = lambda y: y.view(rows, length, self.heads, HEAD).transpose(1, 2)
        q = rotate(split(self.q_proj(x)), rotation)
        k = rotate(split(self.k_proj(x)), rotation)
        scores = (q @ k.transpose(-1, -2)) * HEAD**-0.5
        weights = scores.masked_fill(~mask, -1e9).softmax(-1)
        mixed = (weights @ split(self.v_proj(x))).transpose(1, 2).reshape(rows, length, width)
        return self.o_proj(mixed)


class Dense(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = linear(shape.width, shape.inner)
        self.up_proj = linear(shape.width, shape.inner)
        self.down_proj = linear(shape.inner, shape.width)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Mixture(nn.Module):
    """The best `active` of the experts for each token, weighted by a softmax over those."""

    def __init__(self, shape):
        super().__init__()
        self.active = shape.active
        self.gate = linear(shape.width, shape.experts)
        self.w1 = normal(shape.experts, shape.inner, shape.width)
        self.w3 = normal(shape.experts, shape.inner, shape.width)
        self.w2 = normal(shape.experts, shape.width, shape.inner)
        self.routing = None

    def route(self, x):
        """The router's distribution over all experts, and the chosen ones with their weights."""
        distribution = self.gate(x).softmax(-1)
        weights, chosen = distribution.topk(self.active, -1)
        return distribution, weights / weights.sum(-1, keepdim=True), chosen

    def activate(self, x, expert):
        return swiglu(x, self.w1[expert], self.w3[expert])

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        distribution, weights, chosen = self.route(flat)
        out = torch.zeros_like(flat)
        # Unbound once: the gradient of an indexed parameter is as large as the whole parameter.
        experts = zip(self.w1.unbind(), self.w3.unbind(), self.w2.unbind())
        for expert, (w1, w3, w2) in enumerate(experts):
            token, slot = torch.where(chosen == expert)
            answer = swiglu(flat[token], w1, w3) @ w2.T
            out.index_add_(0, token, answer * weights[token, slot, None])
        self.routing = (distribution, chosen)
        return out.view_as(x)


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = RMSNorm(shape.width)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = RMSNorm(shape.width)
        if shape.experts:
            self.block_sparse_moe = Mixture(shape)
        else:
            self.mlp = Dense(shape)

    def forward(self, x, rotation, mask):
        x = x + self.self_attn(self.input_layernorm(x), rotation, mask)
        feed = self.block_sparse_moe if hasattr(self, "block_sparse_moe") else self.mlp
        return x + feed(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.width)
        nn.init.normal_(self.embed_tokens.weight, std=0.02)


class Decoder(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.model = Trunk(shape)
        self.lm_head = linear(shape.width, VOCABULARY)

    def forward(self, batch):
        """Logits of every token of a batch."""
        rotation = angles(batch.positions)
        mask = visible(batch.line)
        x = self.model.embed_tokens(batch.tokens)
        for layer in self.model.layers:
            x = layer(x, rotation, mask)
        return self.lm_head(self.model.norm(x))

    def mixtures(self):
        """The mixtures of a decoder that has experts, layer by layer; none of a dense one."""
        return [layer.block_sparse_moe for layer in self.model.layers if self.shape.experts]


def swiglu(x, gate, up):
    return F.silu(x @ gate.T) * (x @ up.T)


def visible(line):
    """A token sees the tokens of its own line up to itself: [rows, 1, ROW, ROW]."""
    causal = torch.ones(line.shape[1], line.shape[1]).tril().bool()
    return ((line[:, :, None] == line[:, None, :]) & causal)[:, None]


def angles(positions):
    frequencies = THETA ** (-torch.arange(0, HEAD, 2) / HEAD)
    angle = positions[:, None, :, None] * frequencies
    return angle.cos(), angle.sin()


def rotate(x, rotation):
    cos, sin = rotation
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def linear(inputs, outputs):
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=0.02)
    return layer


def normal(*sizes):
    return nn.Parameter(torch.randn(sizes) * 0.02)
