import assert from "node:assert/strict";
import { connectNats, createNatsStore } from "../../runtime/mod.ts";
import { sharedTest } from "../support/shared.ts";
import { mountSmallDisk, whyNoDisk } from "../support/small_disk.ts";
import { Pair } from "./pair.ts";

const why = whyNoDisk();

if (why !== null) {
  const name = `a full disk of the store stops planning, and nothing else [skipped: ${why}]`;
  Deno.test({ name, ignore: true, fn() {} });
} else {
  sharedTest(
    "a full disk of the store stops planning, and nothing else",
    "models/stories260K",
    async (model) => {
      await using disk = await mountSmallDisk(2);
      const config = `jetstream { store_dir: "${disk.dir}", max_file_store: 64MB }`;
      await using pair = await Pair.open(model, { config, wrapper: disk.wrapper });
      await Promise.all([pair.join("a"), pair.join("b")]);
      await pair.runsOn("a", "b");

      await disk.fill();
      const transport = await connectNats({ servers: [pair.nats.url], drainMs: 0 });
      const store = createNatsStore(transport, { bucket: "tandem" });
      const written = assert.rejects(store.set("more", "than a page ".repeat(500)));
      await pair.observer.until("nobody plans", () => pair.observer.leader === undefined);
      const status = await pair.status("b");
      assert.equal(status.health.healthy, false);
      assert.match(status.problems.join("\n"), /^[ab] cannot plan: /m);
      await Promise.all([pair.reads("a"), pair.reads("b")]);
      assert.deepEqual(pair.losses, []);

      // A server of version 2.9 hangs from then on, later ones have switched JetStream off.
      await disk.free();
      await pair.nats.kill();
      await written;
      await transport.close();
      await pair.nats.restart();
      await pair.observer.until("somebody plans", () => pair.observer.leader !== undefined);
      await pair.runsOn("a", "b");
      await Promise.all([pair.reads("a"), pair.reads("b")]);
      await pair.observer.until(
        "nothing is wrong",
        () => pair.observer.nodes.values().every(({ problems = [] }) => problems.length === 0),
      );
      assert.equal((await pair.status("b")).health.healthy, true);
    },
  );
}
