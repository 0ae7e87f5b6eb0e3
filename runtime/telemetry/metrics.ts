/** Values of a metric's labels, by name. */
export type Labels = Readonly<Record<string, string>>;

/** Counts up. */
export interface Counter {
  /** Adds `by`, 1 by default, never less than 0. */
  inc(labels?: Labels, by?: number): void;
}

/** Goes up and down. */
export interface Gauge {
  /** Puts it at a value. */
  set(value: number, labels?: Labels): void;
  /** Moves it by a difference. */
  add(by: number, labels?: Labels): void;
  /** Forgets all its values, for those of things that are no more. */
  clear(): void;
}

/** Counts values by size. */
export interface Histogram {
  /** Counts one value. */
  observe(value: number, labels?: Labels): void;
}

/** The metrics of a process. Asking twice for a name gives the same metric. */
export interface Metrics {
  /** Finds or makes a counter; `labels` are the names of its labels. */
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  /** Finds or makes a gauge; `labels` are the names of its labels. */
  gauge(name: string, help: string, labels?: readonly string[]): Gauge;
  /** `buckets` are upper bounds in rising order; by default seconds from 1 ms to 60 s. */
  histogram(
    name: string,
    help: string,
    labels?: readonly string[],
    buckets?: readonly number[],
  ): Histogram;
  /** Calls back before each `render()`, to set gauges. The answer takes it back. */
  onRender(callback: () => void): () => void;
  /** Prometheus text format 0.0.4. */
  render(): string;
}

const defaultBuckets = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
  30,
  60,
];

/** Label values are often made from input: what is over this goes into one series of its own. */
const maxSeries = 1000;
const overflow = "other";

const namePattern = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** Makes an empty set of metrics. Its methods throw `RangeError` on misuse by the program. */
export function createMetrics(): Metrics {
  const families = new Map<string, Family>();
  const callbacks = new Set<() => void>();
  const family = (type: Family["type"], name: string, help: string, labels: readonly string[]) => {
    const known = families.get(name);
    if (known) return known.expect(type, labels);
    const made = new Family(type, name, help, labels);
    families.set(name, made);
    return made;
  };
  return {
    counter(name, help, labels = []) {
      const { add } = family("counter", name, help, labels).values();
      return { inc: (values, by = 1) => add(values, checkIncrease(name, by)) };
    },
    gauge(name, help, labels = []) {
      const gauge = family("gauge", name, help, labels);
      const { add, set } = gauge.values();
      return {
        set: (value, values) => set(values, value),
        add: (by, values) => add(values, by),
        clear: () => gauge.clear(),
      };
    },
    histogram(name, help, labels = [], buckets = defaultBuckets) {
      const observe = family("histogram", name, help, labels).buckets(buckets);
      return { observe: (value, values) => observe(values, value) };
    },
    onRender(callback) {
      callbacks.add(callback);
      return () => callbacks.delete(callback);
    },
    render() {
      for (const callback of callbacks) callback();
      return families.values().map((family) => family.render()).toArray().join("");
    },
  };
}

interface Series {
  value: number;
  readonly counts: number[];
  sum: number;
}

class Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly #name: string;
  readonly #help: string;
  readonly #labels: readonly string[];
  readonly #series = new Map<string, Series>();
  #buckets: readonly number[] = [];

  constructor(type: Family["type"], name: string, help: string, labels: readonly string[]) {
    for (const text of [name, ...labels]) {
      if (!namePattern.test(text)) throw new RangeError(`Cannot use as a metric's name: ${text}`);
    }
    this.type = type;
    this.#name = name;
    this.#help = help;
    this.#labels = labels;
  }

  expect(type: Family["type"], labels: readonly string[]): this {
    if (type === this.type && labels.join() === this.#labels.join()) return this;
    throw new RangeError(`Cannot define metric in two ways: ${this.#name}`);
  }

  values() {
    if (this.#labels.length === 0) this.#find({});
    return {
      add: (labels: Labels = {}, by: number) => {
        this.#find(labels).value += by;
      },
      set: (labels: Labels = {}, value: number) => {
        this.#find(labels).value = value;
      },
    };
  }

  clear(): void {
    this.#series.clear();
  }

  buckets(bounds: readonly number[]) {
    if (this.#series.size === 0) this.#buckets = bounds;
    if (this.#labels.length === 0) this.#find({});
    return (labels: Labels = {}, value: number) => {
      const series = this.#find(labels);
      const bucket = this.#buckets.findIndex((bound) => value <= bound);
      const at = bucket < 0 ? this.#buckets.length : bucket;
      series.counts[at] = (series.counts[at] ?? 0) + 1;
      series.sum += value;
      series.value++;
    };
  }

  render(): string {
    const lines = [`# HELP ${this.#name} ${escapeHelp(this.#help)}`];
    lines.push(`# TYPE ${this.#name} ${this.type}`);
    for (const [labels, series] of this.#series) {
      if (this.type === "histogram") lines.push(...this.#renderHistogram(labels, series));
      else lines.push(`${this.#name}${braced(labels)} ${series.value}`);
    }
    return lines.join("\n") + "\n";
  }

  #renderHistogram(labels: string, series: Series): string[] {
    let running = 0;
    const lines = [...this.#buckets, Infinity].map((bound, at) => {
      running += series.counts[at] ?? 0;
      const le = `le="${bound === Infinity ? "+Inf" : bound}"`;
      return `${this.#name}_bucket${braced(labels === "" ? le : `${labels},${le}`)} ${running}`;
    });
    lines.push(`${this.#name}_sum${braced(labels)} ${series.sum}`);
    lines.push(`${this.#name}_count${braced(labels)} ${series.value}`);
    return lines;
  }

  #find(labels: Labels): Series {
    const key = this.#key((name) => labels[name] ?? "");
    const known = this.#series.get(key);
    if (known) return known;
    if (this.#series.size >= maxSeries && this.#labels.some((name) => labels[name] !== overflow)) {
      return this.#find(Object.fromEntries(this.#labels.map((name) => [name, overflow])));
    }
    const made: Series = { value: 0, counts: this.#buckets.map(() => 0).concat(0), sum: 0 };
    this.#series.set(key, made);
    return made;
  }

  #key(valueOf: (name: string) => string): string {
    return this.#labels.map((name) => `${name}="${escapeLabel(valueOf(name))}"`).join(",");
  }
}

function checkIncrease(name: string, by: number): number {
  if (by >= 0) return by;
  throw new RangeError(`Cannot decrease counter ${name}: ${by}`);
}

function braced(labels: string): string {
  return labels === "" ? "" : `{${labels}}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
