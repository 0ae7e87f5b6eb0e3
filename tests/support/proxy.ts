/** A TCP proxy on a free loopback port, which can stand in for a bad network. */

/** A proxy. Disposing of it closes everything. */
export interface Proxy extends AsyncDisposable {
  readonly port: number;
  /** How many connections it has. */
  readonly connections: number;
  /** Holds each piece of bytes back for so long. */
  delayMs: number;
  /** Passes nothing on any more, and closes nothing; sending goes on until the buffers are full. */
  stall(): void;
  /** Passes on again what it held back. */
  resume(): void;
  /** Closes all connections; new ones are accepted and closed at once until `mend()`. */
  cut(): void;
  /** Lets new connections through again. */
  mend(): void;
}

/** Starts a proxy to a port of this machine. */
export function startProxy(target: number): Proxy {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.Conn>();
  let isCut = false;
  let gate: PromiseWithResolvers<void> | null = null;
  const proxy = {
    port: (listener.addr as Deno.NetAddr).port,
    get connections() {
      return open.size / 2;
    },
    delayMs: 0,
    stall: () => void (gate ??= Promise.withResolvers()),
    resume() {
      gate?.resolve();
      gate = null;
    },
    cut() {
      isCut = true;
      for (const connection of open) close(connection);
    },
    mend: () => void (isCut = false),
    async [Symbol.asyncDispose]() {
      proxy.cut();
      proxy.resume();
      listener.close();
      await accepting;
      await Promise.all(passing);
    },
  };
  const close = (connection: Deno.Conn) => {
    if (open.delete(connection)) connection.close();
  };
  const pass = async (from: Deno.Conn, to: Deno.Conn) => {
    const buffer = new Uint8Array(1 << 16);
    try {
      for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
        if (proxy.delayMs > 0) await new Promise((next) => setTimeout(next, proxy.delayMs));
        await gate?.promise;
        for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
      }
    } catch {
      // One of them is gone, and the other goes with it.
    }
    close(from);
    close(to);
  };
  const passing: Promise<void>[] = [];
  const accept = async () => {
    for await (const near of listener) {
      if (isCut) {
        near.close();
        continue;
      }
      const far = await Deno.connect({ hostname: "127.0.0.1", port: target }).catch(() => null);
      if (far === null) {
        near.close();
        continue;
      }
      for (const connection of [near, far]) connection.setNoDelay(true);
      open.add(near).add(far);
      passing.push(pass(near, far), pass(far, near));
    }
  };
  const accepting = accept();
  return proxy;
}
