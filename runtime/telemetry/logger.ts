/** How much a log line matters. */
export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** Plain data beside a message. Text under a key that names a secret is never written. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A structured log. */
export interface Logger {
  /** What helps to find a fault. */
  debug(message: string, fields?: LogFields): void;
  /** What happens in normal work. */
  info(message: string, fields?: LogFields): void;
  /** What an operator may have to look at. */
  warn(message: string, fields?: LogFields): void;
  /** What went wrong. */
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to every line. */
  child(fields: LogFields): Logger;
}

/** How a log is written. */
export interface LoggerOptions {
  /** The least level that is written; `info` by default. */
  readonly level?: LogLevel;
  /** `json` lines for machines, `pretty` for people; `pretty` by default. */
  readonly format?: "json" | "pretty";
  /** Where lines go; standard error by default. */
  readonly write?: (line: string) => void;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** What every line carries. */
  readonly fields?: LogFields;
}

const ranks: Readonly<Record<LogLevel, number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  silent: 4,
};

const secretKey = /(^|[_-])(api[_-]?keys?|keys?|secrets?|passwords?|authorization|cookie|token)$/;

const maxDepth = 4;

/** Makes a logger. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const least = ranks[options.level ?? "info"];
  const write = options.write ?? ((line: string) => console.error(line));
  const now = options.now ?? (() => Date.now());
  const render = options.format === "json" ? renderJson : renderPretty;
  const log = (level: LogLevel) => (message: string, fields: LogFields = {}) => {
    if (ranks[level] < least) return;
    const all = redact({ ...options.fields, ...fields }, 0) as LogFields;
    write(render(new Date(now()).toISOString(), level, message, all));
  };
  return {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    child: (fields) => createLogger({ ...options, fields: { ...options.fields, ...fields } }),
  };
}

function renderJson(time: string, level: LogLevel, message: string, fields: LogFields): string {
  return JSON.stringify({ ...fields, time, level, message }, jsonValue);
}

function renderPretty(time: string, level: LogLevel, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields).map(([key, value]) =>
    `${key}=${typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : asJson(value)}`
  );
  return [time.slice(11, 23), level.toUpperCase().padEnd(5), oneLine(message), ...pairs].join(" ");
}

function asJson(value: unknown): string {
  return JSON.stringify(value, jsonValue) ?? "undefined";
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, " ");
}

function redact(value: unknown, depth: number): unknown {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${value.byteLength} bytes)`;
  if (depth >= maxDepth) return "[...]";
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1));
  const entries = Object.entries(value).map(([key, item]) => {
    const secret = typeof item === "string" && namesSecret(key);
    return [key, secret ? "[redacted]" : redact(item, depth + 1)];
  });
  return Object.fromEntries(entries);
}

function namesSecret(key: string): boolean {
  return secretKey.test(key.replaceAll(/([a-z])([A-Z])/g, "$1_$2").toLowerCase());
}
