"""Writes a decoder as a Hugging Face folder: Llama, or Mixtral when it has experts."""

import json
import os
import struct

import torch

from data import BOS, EOS, PAD, VOCABULARY
from model import EPSILON, HEAD, THETA

CONTEXT = 96
LONGEST_ANSWER = 40
SPECIAL = ["<bos>", "<eos>", "<pad>", "<unused>"]

# The last user message, and `=` if it is missing.
TEMPLATE = (
    "{{ bos_token }}{%- set last = namespace(text='') -%}"
    "{%- for message in messages -%}{%- if message['role'] == 'user' -%}"
    "{%- set last.text = message['content'] -%}{%- endif -%}{%- endfor -%}"
    "{{ last.text }}{%- if not last.text.endswith('=') -%}={%- endif -%}"
)


def export(decoder, folder):
    """Writes config, weights in float16, tokenizer and generation defaults into `folder`."""
    os.makedirs(folder, exist_ok=True)
    ids = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    write_json(folder, "config.json", config(decoder.shape, ids))
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors(decoder))
    write_json(folder, "tokenizer.json", tokenizer())
    write_json(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "pad_token": "<pad>",
            "add_bos_token": True,
            "clean_up_tokenization_spaces": False,
            "model_max_length": CONTEXT,
            "chat_template": TEMPLATE,
        },
    )
    generation = {**ids, "do_sample": False, "max_new_tokens": LONGEST_ANSWER}
    write_json(folder, "generation_config.json", generation)


def config(shape, ids):
    common = {
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": HEAD,
        "vocab_size": VOCABULARY,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": EPSILON,
        "rope_theta": THETA,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        **ids,
    }
    if shape.experts == 0:
        return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **common}
    return {
        "architectures": ["MixtralForCausalLM"],
        "model_type": "mixtral",
        "num_local_experts": shape.experts,
        "num_experts_per_tok": shape.active,
        "sliding_window": None,
        **common,
    }


def tensors(decoder):
    """Names and float16 tensors; stacked experts are taken apart."""
    for name, tensor in decoder.state_dict().items():
        trunk, _, matrix = name.rpartition(".")
        if matrix not in ("w1", "w2", "w3"):
            yield name, tensor.half()
            continue
        for expert, part in enumerate(tensor):
            yield f"{trunk}.experts.{expert}.{matrix}.weight", part.half()


def write_safetensors(path, named):
    """The format: header length, JSON header, then the tensors one after another."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in named:
        if not torch.isfinite(tensor).all():
            raise ValueError(f"Cannot export values beyond float16: {name}")
        blob = tensor.contiguous().numpy().tobytes()
        header[name] = {
            "dtype": "F16",
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(blob)],
        }
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def tokenizer():
    """Byte-level without merges: the id of a byte is its value; special tokens follow."""
    vocabulary = {letter: byte for byte, letter in enumerate(byte_letters())}
    vocabulary.update({name: 256 + i for i, name in enumerate(SPECIAL)})
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    first = {"SpecialToken": {"id": "<bos>", "type_id": 0}}
    sequence = lambda name, kind: {"Sequence": {"id": name, "type_id": kind}}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": 256 + i, "content": name, **flags, "special": True}
            for i, name in enumerate(SPECIAL)
        ],
        "normalizer": None,
        "pre_tokenizer": {**byte_level, "use_regex": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, sequence("A", 0)],
            "pair": [first, sequence("A", 0), sequence("B", 1)],
            "special_tokens": {"<bos>": {"id": "<bos>", "ids": [BOS], "tokens": ["<bos>"]}},
        },
        "decoder": {**byte_level, "use_regex": True},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }


def byte_letters():
    """The printable letter that stands for each byte: itself, or the next from U+0100 on."""
    shown = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")
