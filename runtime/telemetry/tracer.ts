/** A piece of work that is being measured. */
export interface Span {
  /** What its causes' effects name as their cause: a W3C `traceparent`. */
  readonly trace: string;
  /** Ends it; with an error it has failed. */
  end(error?: Error): void;
}

/** Measures work across nodes. Without one, nothing is measured and nothing is paid. */
export interface Tracer {
  /** The `traceparent` of the work that calls this; undefined when nobody measures it. */
  current(): string | undefined;
  /** Begins a piece of work that `parent`, a `traceparent`, has caused. */
  start(name: string, parent: string, attributes?: Readonly<Record<string, string>>): Span;
}
