/**
 * An independent forward pass to compare models with: float64 throughout, the whole sequence at once, no
 * cache, nothing stacked, nothing shared with the product. Reads tensors by their Hugging Face names and
 * gives each field of `config.json` the meaning that Hugging Face gives it.
 */

/** Tensors of a checkpoint by name, widened. */
export type Tensors = ReadonlyMap<string, Float32Array>;

/** The fields of a `config.json` that matter here. */
export interface HubConfig {
  readonly architectures: readonly string[];
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim?: number | null;
  readonly intermediate_size: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta?: number;
  readonly rope_scaling?: HubScaling | null;
  readonly rope_parameters?: HubScaling;
  readonly hidden_act: "silu";
  readonly attention_bias?: boolean;
  readonly qkv_bias?: boolean;
  readonly tie_word_embeddings?: boolean;
  readonly sliding_window?: number | null;
  readonly use_sliding_window?: boolean;
  readonly max_window_layers?: number;
  readonly layer_types?: readonly string[];
  readonly num_local_experts?: number;
  readonly num_experts?: number;
  readonly num_experts_per_tok?: number;
  readonly moe_intermediate_size?: number;
  readonly shared_expert_intermediate_size?: number;
  readonly norm_topk_prob?: boolean;
  readonly decoder_sparse_step?: number;
  readonly mlp_only_layers?: readonly number[];
}

/** `rope_scaling` or `rope_parameters`. */
export interface HubScaling {
  readonly rope_type: "default" | "linear" | "llama3";
  readonly rope_theta?: number;
  readonly factor?: number;
  readonly low_freq_factor?: number;
  readonly high_freq_factor?: number;
  readonly original_max_position_embeddings?: number;
}

type Row = Float64Array<ArrayBuffer>;

/** The logits of every position of a sequence. */
export function oracleLogits(config: HubConfig, tensors: Tensors, ids: readonly number[]): Row[] {
  return new Oracle(config, tensors).logits(ids);
}

class Oracle {
  constructor(readonly config: HubConfig, readonly tensors: Tensors) {}

  logits(ids: readonly number[]): Row[] {
    const { hidden_size: dim, num_hidden_layers, tie_word_embeddings } = this.config;
    const table = this.#tensor("model.embed_tokens.weight");
    let rows = ids.map((id) => Float64Array.from(table.subarray(id * dim, (id + 1) * dim)));
    for (let layer = 0; layer < num_hidden_layers; layer++) {
      const at = `model.layers.${layer}`;
      const normed = rows.map((row) => this.#norm(row, `${at}.input_layernorm`));
      rows = sum(rows, this.#attention(normed, layer));
      const inner = rows.map((row) => this.#norm(row, `${at}.post_attention_layernorm`));
      rows = sum(rows, inner.map((row) => this.#feedForward(row, layer)));
    }
    const head = tie_word_embeddings ? "model.embed_tokens" : "lm_head";
    return rows.map((row) => this.#linear(this.#norm(row, "model.norm"), head));
  }

  #attention(rows: readonly Row[], layer: number): Row[] {
    const { num_attention_heads: heads, num_key_value_heads: kvHeads } = this.config;
    const at = `model.layers.${layer}.self_attn`;
    const project = (name: string, count: number, turns: boolean) =>
      rows.map((row, position) =>
        split(
          this.#rowNorm(this.#linear(row, `${at}.${name}_proj`), `${at}.${name}_norm`, turns),
          count,
        ).map((head) =>
          turns ? this.#turn(this.#headNorm(head, `${at}.${name}_norm`), position) : head
        )
      );
    const [q, k, v] = [
      project("q", heads, true),
      project("k", kvHeads, true),
      project("v", kvHeads, false),
    ];
    const window = this.#window(layer);
    return rows.map((_, t) => {
      const from = Math.max(0, t - window + 1);
      const seen = (of: Row[][], head: number) =>
        of.slice(from, t + 1).map((each) => each[Math.floor(head / (heads / kvHeads))]!);
      const heard = q[t]!.map((query, head) => mix(query, seen(k, head), seen(v, head)));
      return this.#linear(concat(heard), `${at}.o_proj`);
    });
  }

  #feedForward(row: Row, layer: number): Row {
    const { config } = this;
    const at = `model.layers.${layer}`;
    if (this.#is("Mixtral")) {
      return this.#mixture(
        row,
        `${at}.block_sparse_moe`,
        config.num_local_experts!,
        true,
        "w1",
        "w3",
        "w2",
      );
    }
    const isSparse = (this.#is("Moe") || this.#is("Olmoe")) &&
      !config.mlp_only_layers?.includes(layer) &&
      (layer + 1) % (config.decoder_sparse_step ?? 1) === 0;
    if (!isSparse) return this.#gated(row, `${at}.mlp`);
    const normalise = config.norm_topk_prob ?? false;
    const routed = this.#mixture(row, `${at}.mlp`, config.num_experts!, normalise);
    if (!this.#is("Qwen2Moe")) return routed;
    const shared = this.#gated(row, `${at}.mlp.shared_expert`);
    const [opening] = this.#linear(row, `${at}.mlp.shared_expert_gate`);
    return routed.map((value, i) => value + shared[i]! / (1 + Math.exp(-opening!)));
  }

  #mixture(
    row: Row,
    at: string,
    experts: number,
    normalise: boolean,
    ...names: string[]
  ): Row {
    const shares = softmax(this.#linear(row, `${at}.gate`));
    if (shares.length !== experts) throw new Error(`${experts} experts, ${shares.length} scores`);
    const best = [...shares.keys()].sort((a, b) => shares[b]! - shares[a]!);
    const chosen = best.slice(0, this.config.num_experts_per_tok!);
    const mass = normalise ? chosen.reduce((total, expert) => total + shares[expert]!, 0) : 1;
    const out = new Float64Array(row.length);
    for (const expert of chosen) {
      const answer = this.#gated(row, `${at}.experts.${expert}`, ...names);
      answer.forEach((value, i) => out[i]! += value * shares[expert]! / mass);
    }
    return out;
  }

  #gated(row: Row, at: string, gate = "gate_proj", up = "up_proj", down = "down_proj"): Row {
    const opened = this.#linear(row, `${at}.${gate}`).map((g) => g / (1 + Math.exp(-g)));
    const raised = this.#linear(row, `${at}.${up}`);
    return this.#linear(opened.map((g, i) => g * raised[i]!), `${at}.${down}`);
  }

  /** Tokens that a query sees, itself included. */
  #window(layer: number): number {
    const { config } = this;
    const { sliding_window, use_sliding_window, layer_types, max_window_layers = 28 } = config;
    if (!sliding_window || this.#is("Llama")) return Infinity;
    if (this.#is("Qwen") && !use_sliding_window) return Infinity;
    if (this.#is("Qwen2Moe")) {
      const slides = layer_types
        ? layer_types[layer] === "sliding_attention"
        : layer % 2 === 0 && layer < max_window_layers;
      return slides ? sliding_window : Infinity;
    }
    if (this.#is("Mistral") || this.#is("Mixtral") || this.#is("Moe")) return sliding_window;
    const type = layer_types?.[layer] ??
      (layer >= max_window_layers ? "sliding_attention" : "full_attention");
    return type === "sliding_attention" ? sliding_window : Infinity;
  }

  /** Rotates dimension `i` with `i + headDim/2`. */
  #turn(head: Row, position: number): Row {
    const half = head.length / 2;
    return head.map((value, i) => {
      const angle = position * this.#frequency(i % half, head.length);
      const partner = i < half ? -head[i + half]! : head[i - half]!;
      return value * Math.cos(angle) + partner * Math.sin(angle);
    });
  }

  #frequency(pair: number, headDim: number): number {
    const { rope_parameters, rope_scaling, rope_theta = 10_000 } = this.config;
    const scaling = rope_parameters ?? rope_scaling ?? { rope_type: "default" };
    const base = (scaling.rope_theta ?? rope_theta) ** -(2 * pair / headDim);
    if (scaling.rope_type === "default") return base;
    if (scaling.rope_type === "linear") return base / scaling.factor!;
    const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
    const wavelength = 2 * Math.PI / base;
    const original = scaling.original_max_position_embeddings!;
    if (wavelength < original / high!) return base;
    if (wavelength > original / low!) return base / factor!;
    const smooth = (original / wavelength - low!) / (high! - low!);
    return (1 - smooth) * base / factor! + smooth * base;
  }

  #rowNorm(row: Row, name: string, turns: boolean): Row {
    return this.#is("Olmoe") && turns ? this.#norm(row, name) : row;
  }

  #headNorm(head: Row, name: string): Row {
    return this.#is("Qwen3") ? this.#norm(head, name) : head;
  }

  #norm(row: Row, name: string): Row {
    const weight = this.#tensor(`${name}.weight`);
    const mean = row.reduce((total, value) => total + value * value, 0) / row.length;
    const scale = Math.sqrt(mean + this.config.rms_norm_eps);
    return row.map((value, i) => weight[i]! * value / scale);
  }

  #linear(row: Row, name: string): Row {
    const weight = this.#tensor(`${name}.weight`);
    const bias = this.tensors.get(`${name}.bias`);
    return Float64Array.from({ length: weight.length / row.length }, (_, n) => {
      let total = bias?.[n] ?? 0;
      for (let k = 0; k < row.length; k++) total += weight[n * row.length + k]! * row[k]!;
      return total;
    });
  }

  #tensor(name: string): Float32Array {
    const tensor = this.tensors.get(name);
    if (!tensor) throw new Error(`The oracle finds no tensor: ${name}`);
    return tensor;
  }

  #is(line: string): boolean {
    return this.config.architectures[0]!.includes(line);
  }
}

function mix(query: Row, keys: readonly Row[], values: readonly Row[]): Row {
  const scores = keys.map((key) => dot(query, key) / Math.sqrt(query.length));
  const shares = softmax(Float64Array.from(scores));
  return query.map((_, i) => values.reduce((total, value, t) => total + shares[t]! * value[i]!, 0));
}

function softmax(scores: Row): Row {
  const highest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - highest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

function dot(a: Row, b: Row): number {
  return a.reduce((total, value, i) => total + value * b[i]!, 0);
}

function split(row: Row, parts: number): Row[] {
  const width = row.length / parts;
  return Array.from({ length: parts }, (_, i) => row.slice(i * width, (i + 1) * width));
}

function concat(rows: readonly Row[]): Row {
  return Float64Array.from(rows.flatMap((row) => [...row]));
}

function sum(a: readonly Row[], b: readonly Row[]): Row[] {
  return a.map((row, t) => row.map((value, i) => value + b[t]![i]!));
}
