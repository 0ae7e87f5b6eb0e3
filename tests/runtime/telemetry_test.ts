import assert from "node:assert/strict";
import { createLogger, createMetrics } from "../../runtime/mod.ts";

Deno.test("createMetrics() renders Prometheus text", () => {
  const metrics = createMetrics();
  metrics.counter("requests_total", "Requests", ["level"]).inc({ level: 'gi"ant\n\\' }, 2);
  metrics.gauge("queue", "Waiting\nnow").set(3);
  const latency = metrics.histogram("latency_seconds", "Latency", [], [0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) latency.observe(value);
  assert.equal(
    metrics.render(),
    [
      "# HELP requests_total Requests",
      "# TYPE requests_total counter",
      'requests_total{level="gi\\"ant\\n\\\\"} 2',
      "# HELP queue Waiting\\nnow",
      "# TYPE queue gauge",
      "queue 3",
      "# HELP latency_seconds Latency",
      "# TYPE latency_seconds histogram",
      'latency_seconds_bucket{le="0.1"} 2',
      'latency_seconds_bucket{le="1"} 3',
      'latency_seconds_bucket{le="+Inf"} 4',
      "latency_seconds_sum 7.65",
      "latency_seconds_count 4",
      "",
    ].join("\n"),
  );
});

Deno.test("createMetrics() shows a metric without labels from the start", () => {
  const metrics = createMetrics();
  metrics.counter("hits_total", "Hits");
  metrics.histogram("size", "Size", [], [1]);
  assert.match(metrics.render(), /^hits_total 0$/m);
  assert.match(metrics.render(), /^size_count 0$/m);
});

Deno.test("createMetrics() gives the same metric twice, and refuses two meanings", () => {
  const metrics = createMetrics();
  metrics.counter("hits_total", "Hits").inc();
  metrics.counter("hits_total", "Hits").inc();
  assert.match(metrics.render(), /^hits_total 2$/m);
  assert.throws(() => metrics.gauge("hits_total", "Hits"), RangeError);
  assert.throws(() => metrics.counter("hits_total", "Hits", ["level"]), RangeError);
  assert.throws(() => metrics.counter("no spaces", "Hits"), RangeError);
  assert.throws(() => metrics.counter("hits_total", "Hits").inc({}, -1), RangeError);
});

Deno.test("createMetrics() bounds the series of a metric", () => {
  const metrics = createMetrics();
  const counter = metrics.counter("hits_total", "Hits", ["user"]);
  for (let user = 0; user < 5000; user++) counter.inc({ user: String(user) });
  const lines = metrics.render().split("\n").filter((line) => line.startsWith("hits_total{"));
  assert.equal(lines.length, 1001);
  assert.equal(lines.at(-1), 'hits_total{user="other"} 4000');
});

Deno.test("onRender() refreshes gauges", () => {
  const metrics = createMetrics();
  const gauge = metrics.gauge("queue", "Waiting");
  const stop = metrics.onRender(() => gauge.add(1));
  metrics.render();
  assert.match(metrics.render(), /^queue 2$/m);
  stop();
  assert.match(metrics.render(), /^queue 2$/m);
});

Deno.test("clear() forgets the values of a gauge", () => {
  const metrics = createMetrics();
  const gauge = metrics.gauge("queue", "Waiting", ["replica"]);
  gauge.set(1, { replica: "a" });
  gauge.clear();
  gauge.set(2, { replica: "b" });
  assert.match(metrics.render(), /^# TYPE queue gauge\nqueue\{replica="b"\} 2\n$/m);
});

function record(options: Parameters<typeof createLogger>[0] = {}) {
  const lines: string[] = [];
  const log = createLogger({ write: (line) => lines.push(line), now: () => 0, ...options });
  return { log, lines };
}

Deno.test("createLogger() writes JSON lines from its level on", () => {
  const { log, lines } = record({ format: "json", level: "info" });
  log.debug("hidden");
  log.child({ actor: "a/main/x/1" }).info("Started", { tokens: 12n });
  assert.deepEqual(lines.map((line) => JSON.parse(line)), [
    {
      actor: "a/main/x/1",
      tokens: "12",
      time: "1970-01-01T00:00:00.000Z",
      level: "info",
      message: "Started",
    },
  ]);
});

Deno.test("createLogger() keeps one entry on one line when pretty", () => {
  const { log, lines } = record();
  log.warn("Two\nlines", { text: "a\nb", plain: "ok" });
  assert.deepEqual(lines, ['00:00:00.000 WARN  Two lines text="a\\nb" plain=ok']);
});

Deno.test("createLogger() never writes secrets, nor whole tensors", () => {
  const { log, lines } = record({ format: "json" });
  const secrets = {
    apiKey: "s3cret",
    authorization: "s3cret",
    nested: [{ access_token: "s3cret" }],
  };
  log.info("Request", { ...secrets, max_tokens: 5, tensor: new Float32Array(1000) });
  assert.ok(!lines[0]!.includes("s3cret"), lines[0]);
  assert.match(lines[0]!, /"max_tokens":5/);
  assert.ok(lines[0]!.length < 400);
});
