/** Logs, metrics and traces. @module */
export { createLogger } from "./logger.ts";
export type { LogFields, Logger, LoggerOptions, LogLevel } from "./logger.ts";
export { createMetrics } from "./metrics.ts";
export type { Counter, Gauge, Histogram, Labels, Metrics } from "./metrics.ts";
export { observeSystem, observeTransport } from "./observe.ts";
export { openTelemetryTracer } from "./opentelemetry.ts";
export type { Span, Tracer } from "./tracer.ts";
