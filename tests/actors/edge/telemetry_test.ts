import { equal } from "node:assert/strict";
import { startEdgeProcess } from "../../support/edge.ts";
import { startNats } from "../../support/nats.ts";
import { until } from "../../runtime/support/assert.ts";
import { chat, type Json } from "./support.ts";

/** A span as OTLP's JSON has it. */
interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
}

/** Gathers the spans that processes export. */
function collect(): { url: string; spans: Span[]; close(): Promise<void> } {
  const spans: Span[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const body: Json = await request.json();
      for (const { scopeSpans } of body.resourceSpans ?? []) {
        spans.push(...scopeSpans.flatMap((scope: Json) => scope.spans));
      }
      return Response.json({});
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    spans,
    close: () => server.shutdown(),
  };
}

Deno.test("a request is one trace from the edge's process to the router's, over NATS", async () => {
  const collector = collect();
  const exporting = {
    OTEL_DENO: "true",
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
    OTEL_BSP_SCHEDULE_DELAY: "50",
  };
  await using nats = await startNats();
  const router = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("router_process.ts", import.meta.url).pathname, nats.url],
    env: exporting,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const output = router.stdout.getReader();
  await output.read();
  await using edge = await startEdgeProcess({ TANDEM_NATS_URL: nats.url, ...exporting });
  const url = `${edge.url}/v1/chat/completions`;
  const response = await fetch(url, { method: "POST", body: JSON.stringify(chat()) });
  equal(response.status, 200);
  await response.body?.cancel();
  const find = (name: string) => collector.spans.find((span) => span.name === name);
  await until(() => find("router.generate") !== undefined && find("POST") !== undefined);
  equal(find("router.generate")!.traceId, find("POST")!.traceId);
  equal(find("router.generate")!.parentSpanId, find("POST")!.spanId);
  router.kill("SIGTERM");
  await router.status;
  await output.cancel();
  await edge.stop();
  await collector.close();
});
