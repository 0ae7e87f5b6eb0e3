import type { System } from "../actor.ts";
import type { Transport } from "../transport/mod.ts";
import type { Metrics } from "./metrics.ts";

/** Counts a system's dead letters by their reasons. */
export function observeSystem(metrics: Metrics, system: System): void {
  const dead = metrics.counter(
    "tandem_dead_letters_total",
    "Messages that reached no handler, by reason",
    ["reason"],
  );
  system.deadLetters.subscribe(({ reason }) => dead.inc({ reason }));
}

/** Shows whether a transport has its network, and counts how often it lost it and was refused something. */
export function observeTransport(metrics: Metrics, transport: Transport): void {
  const up = metrics.gauge("tandem_transport_up", "Whether other nodes can be reached");
  const losses = metrics.counter("tandem_transport_losses_total", "Times the network was lost");
  const refusals = metrics.counter(
    "tandem_transport_refusals_total",
    "Subjects that the server refused, by operation",
    ["operation"],
  );
  up.set(1);
  transport.watch((event) => {
    if (event.type === "up") up.set(1);
    if (event.type === "refused") refusals.inc({ operation: event.operation });
    if (event.type !== "down") return;
    up.set(0);
    losses.inc();
  });
  void transport.closed.then(() => up.set(0));
}
