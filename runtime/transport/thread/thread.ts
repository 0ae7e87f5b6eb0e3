import { ActorError } from "../../errors.ts";
import type { Envelope } from "../envelope.ts";
import { type Handshake, PortLink } from "./link.ts";

/** A Worker whose actors this isolate reaches. */
export interface Thread {
  /** The lane's name within the node. */
  readonly name: string;
  /** Resolves once the Worker serves; rejects with `Terminated` if it dies before. */
  readonly ready: Promise<void>;
  /** Resolves, with the reason, when the Worker is no more. */
  readonly ended: Promise<string>;
  /** Ends the Worker now; its actors are lost at once. */
  terminate(): void;
}

/** A thread with the way to it. */
export interface ThreadWithLink extends Thread {
  readonly link: PortLink;
}

/** How a thread is attached. */
export interface ThreadOptions {
  readonly node: string;
  readonly name: string;
  receive(envelope: Envelope): void;
  /** Called once when the Worker is no more. */
  down(why: string): void;
}

/** Joins a Worker that calls `serveThread()`. */
export function openThread(worker: Worker, options: ThreadOptions): ThreadWithLink {
  const { node, name } = options;
  const ready = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  ready.promise.catch(() => {});
  const link = new PortLink(worker, options.receive, ({ handshake }: Handshake) => {
    if (handshake === "listening") link.shake({ handshake: "attach", node, lane: name });
    if (handshake !== "attached") return;
    link.open();
    ready.resolve();
  });
  link.shake({ handshake: "attach", node, lane: name });
  const terminate = worker.terminate.bind(worker);
  let isDown = false;
  const down = (why: string) => {
    if (isDown) return;
    isDown = true;
    const error = new ActorError("Terminated", `Thread ${name} is gone: ${why}`);
    link.close(error);
    ready.reject(error);
    terminate();
    options.down(error.message);
    ended.resolve(why);
  };
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    down(event.message);
  });
  worker.addEventListener("messageerror", () => down("a message could not be read"));
  // Deno tells nobody that a Worker was terminated, so whoever does it must come by here.
  worker.terminate = () => down("it was terminated");
  return {
    name,
    ready: ready.promise,
    ended: ended.promise,
    terminate: worker.terminate,
    link,
  };
}
