import type { Tracer } from "./tracer.ts";

/**
 * A tracer over OpenTelemetry's API, which Deno implements when it runs with `OTEL_DENO=true`; without that,
 * its spans go nowhere. The API is loaded here and not before.
 */
export async function openTelemetryTracer(): Promise<Tracer> {
  const { context, propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = await import(
    "@opentelemetry/api"
  );
  const tracer = trace.getTracer("tandem");
  type Context = typeof ROOT_CONTEXT;
  const traceOf = (from: Context): string | undefined => {
    const carrier: { traceparent?: string } = {};
    propagation.inject(from, carrier);
    return carrier.traceparent;
  };
  return {
    current: () => traceOf(context.active()),
    start(name, parent, attributes = {}) {
      const cause = propagation.extract(ROOT_CONTEXT, { traceparent: parent });
      const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, cause);
      return {
        trace: traceOf(trace.setSpan(cause, span)) ?? parent,
        end(error) {
          if (error) span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
          span.end();
        },
      };
    },
  };
}
