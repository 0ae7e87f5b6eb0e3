import type { Edge } from "./edge.ts";
import { unavailable } from "./errors.ts";

/** An edge that can be listened for before it is there: until then it is alive, not ready, and sends clients away. */
export class Doorway implements Edge {
  #edge: Edge | null = null;

  /** What answers from now on. */
  open(edge: Edge): void {
    this.#edge = edge;
  }

  /** Answers one request; never rejects. */
  async fetch(request: Request): Promise<Response> {
    if (this.#edge) return await this.#edge.fetch(request);
    await request.body?.cancel();
    switch (new URL(request.url).pathname) {
      case "/healthz":
        return Response.json({ alive: true, stuck: [] });
      case "/readyz":
        return Response.json({ ready: false, draining: false, missing: [] }, {
          status: 503,
          headers: { "retry-after": "1" },
        });
      default:
        return unavailable("Cannot answer yet, the server is starting").response();
    }
  }

  /** Waits for what is at work, if there can be any. */
  async drain(graceMs?: number): Promise<void> {
    await this.#edge?.drain(graceMs);
  }

  /** Completion requests at work. */
  get inFlight(): number {
    return this.#edge?.inFlight ?? 0;
  }
}
