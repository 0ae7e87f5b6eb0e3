import { openTelemetryTracer, type Tracer } from "../runtime/mod.ts";

/** Options with the tracer that `OTEL_DENO=true` asks for; empty without it. */
export async function tracing(): Promise<{ readonly tracer?: Tracer }> {
  return Deno.env.get("OTEL_DENO") === "true" ? { tracer: await openTelemetryTracer() } : {};
}
