/**
 * A protocol is an interface of functions: the argument is the message, the return type the reply,
 * and an `AsyncIterable` reply a stream.
 */
export type Protocol<P> = { [K in keyof P]: (message: never) => unknown };

/** The message that a method takes; `undefined` for a method without one. */
export type MessageOf<P, K extends keyof P> = P[K] extends (...args: infer A) => unknown
  ? A extends [] ? undefined : A[0]
  : never;

/** What a method answers. */
export type ReplyOf<P, K extends keyof P> = P[K] extends (message: never) => infer R ? Awaited<R>
  : never;

/** What a stream method yields. */
export type ItemOf<P, K extends keyof P> = P[K] extends (message: never) => AsyncIterable<infer T>
  ? T
  : never;

/** The names of a protocol's streams. */
export type StreamName<P> =
  & {
    [K in keyof P]: P[K] extends (message: never) => AsyncIterable<unknown> ? K : never;
  }[keyof P]
  & string;

/** The names of a protocol's methods that answer once. */
export type AskName<P> = Exclude<keyof P & string, StreamName<P>>;

/** Message and options as arguments: a method without a message may leave both out. */
export type Arguments<P, K extends keyof P, Options> = undefined extends MessageOf<P, K>
  ? [message?: MessageOf<P, K>, options?: Options]
  : [message: MessageOf<P, K>, options?: Options];
