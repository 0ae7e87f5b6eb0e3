import type { Clock, Metrics } from "../../runtime/mod.ts";
import type { EndEvent, TextEvent } from "../protocol.ts";

const seconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const tokenSeconds = [
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  1,
];

/** The edge's own metrics. */
export class EdgeMetrics {
  readonly #clock: Clock;
  readonly #requests;
  readonly #firstToken;
  readonly #perToken;
  readonly #duration;
  readonly #tokens;
  readonly #escalations;
  readonly #answers;
  readonly #failovers;

  constructor(metrics: Metrics, clock: Clock, inFlight: () => number) {
    this.#clock = clock;
    this.#requests = metrics.counter("tandem_requests_total", "Requests by model and HTTP status", [
      "model",
      "status",
    ]);
    const histogram = (name: string, help: string, buckets: readonly number[]) =>
      metrics.histogram(name, help, ["model"], buckets);
    this.#firstToken = histogram(
      "tandem_time_to_first_token_seconds",
      "Until the first text",
      seconds,
    );
    this.#perToken = histogram(
      "tandem_time_per_output_token_seconds",
      "After the first",
      tokenSeconds,
    );
    this.#duration = histogram("tandem_request_seconds", "Request from end to end", seconds);
    this.#tokens = metrics.counter("tandem_tokens_total", "Tokens by model and kind", [
      "model",
      "kind",
    ]);
    this.#escalations = metrics.counter("tandem_escalations_total", "Answers given up, by level", [
      "family",
      "level",
    ]);
    this.#answers = metrics.counter("tandem_answers_total", "Answers given, by level", [
      "family",
      "level",
    ]);
    this.#failovers = metrics.counter(
      "tandem_failovers_total",
      "Generations that went on at another router",
      ["family"],
    );
    const gauge = metrics.gauge("tandem_requests_in_flight", "Requests at work");
    metrics.onRender(() => gauge.set(inFlight()));
  }

  /** A generation goes on at another router. */
  failedOver(family: string): void {
    this.#failovers.inc({ family });
  }

  /** Begins to measure a request. */
  begin(): RequestMeter {
    return new RequestMeter(this.#clock, this);
  }

  requested(model: string, status: number, duration: number): void {
    this.#requests.inc({ model, status: String(status) });
    this.#duration.observe(duration, { model });
  }

  started(model: string, duration: number): void {
    this.#firstToken.observe(duration, { model });
  }

  /** An answer is whole; `decoding` is the time since its first text. */
  answered(model: string, end: EndEvent, decoding: number): void {
    const { usage, route } = end;
    this.#tokens.inc({ model, kind: "prompt" }, usage.promptTokens);
    this.#tokens.inc({ model, kind: "completion" }, usage.completionTokens);
    if (usage.completionTokens > 1) {
      this.#perToken.observe(decoding / (usage.completionTokens - 1), { model });
    }
    const family = model.split("/", 1)[0]!;
    this.#answers.inc({ family, level: route.level });
    for (const { level, outcome } of route.path) {
      if (outcome === "escalated") this.#escalations.inc({ family, level });
    }
  }
}

/** Measures one request. */
export class RequestMeter {
  readonly #clock: Clock;
  readonly #metrics: EdgeMetrics;
  readonly #begun: number;
  readonly #first = new Map<number, number>();
  #model = "none";
  #closed = false;

  constructor(clock: Clock, metrics: EdgeMetrics) {
    this.#clock = clock;
    this.#metrics = metrics;
    this.#begun = clock.monotonic();
  }

  /** The model; `none` before it is known. */
  get model(): string {
    return this.#model;
  }

  /** The model is known to exist: only then may it become a label. */
  resolved(model: string): void {
    this.#model = model;
  }

  saw(index: number, event: TextEvent | EndEvent): void {
    const now = this.#clock.monotonic();
    if (this.#first.size === 0) this.#metrics.started(this.#model, (now - this.#begun) / 1000);
    if (!this.#first.has(index)) this.#first.set(index, now);
    if (event.type !== "end") return;
    this.#metrics.answered(this.#model, event, (now - this.#first.get(index)!) / 1000);
  }

  /** Counts the request once, however often it is called. Answers its milliseconds. */
  close(status: number): number {
    const milliseconds = this.#clock.monotonic() - this.#begun;
    if (!this.#closed) this.#metrics.requested(this.#model, status, milliseconds / 1000);
    this.#closed = true;
    return milliseconds;
  }
}
