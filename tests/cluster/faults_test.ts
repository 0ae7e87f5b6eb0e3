import assert from "node:assert/strict";
import { sharedTest } from "../support/shared.ts";
import { passing, published, RealCluster } from "./support.ts";

/** Longer than a node may be silent. */
const longMs = 4000;

sharedTest(
  "a cluster of processes prints published texts through it all",
  "models",
  async (models, t) => {
    const dense = `${models}/stories260K`;
    await using cluster = await RealCluster.start({ dense, moe: `${models}/stories260K-moe4` });
    const step = async (name: string, fault: () => unknown, after: () => unknown = () => {}) => {
      await t.step(name, async () => {
        await cluster.endures(fault);
        await after();
        await cluster.whole();
      });
    };

    await step("undisturbed", async () => {
      const { text } = published(`${models}/stories260K-moe4`);
      assert.equal(await cluster.read("moe", 200), text.trim());
    });

    await step("while a node is killed", () => cluster.node("b").kill(), () => cluster.join("b"));

    await step("while the node that decides is killed", async () => {
      const leader = cluster.observer.leader as "a";
      await cluster.node(leader).kill();
      await cluster.join(leader);
    });

    await step("while a node is paused, and goes on as if nothing had happened", async () => {
      cluster.node("c").signal("SIGSTOP");
      await passing(longMs);
      cluster.node("c").signal("SIGCONT");
    });

    await step("while the network to a node is slow, then cut", async () => {
      cluster.proxy.delayMs = 10;
      await passing(500);
      cluster.proxy.cut();
      await passing(longMs);
      cluster.proxy.delayMs = 0;
      cluster.proxy.mend();
    });

    await step("while the network to a node passes nothing on", async () => {
      cluster.proxy.stall();
      await passing(longMs);
      cluster.proxy.resume();
    });

    await step("while NATS restarts", async () => {
      await cluster.nats.kill();
      await cluster.nats.restart();
    });

    await step("while NATS restarts without what it had stored", async () => {
      await cluster.nats.kill();
      await passing(longMs);
      await cluster.nats.restart({ keepStore: false });
    });

    await step("while a node is told to stop, which ends in good order", async () => {
      const leaving = cluster.node("d");
      leaving.signal("SIGTERM");
      assert.equal(await leaving.ended, 0);
    }, () => cluster.join("d"));

    await step("while an operator drains a node, which hands over all it has", async () => {
      const drain = `${cluster.node("a").url}/admin/nodes/c/drain`;
      const response = await fetch(drain, { method: "POST" });
      assert.deepEqual(await response.json(), { node: "c", draining: true });
    }, async () => {
      const hosted = () => cluster.observer.nodes.get("c")!.parts.length;
      await cluster.observer.until("c hosts nothing", () => hosted() === 0);
      cluster.node("c").signal("SIGTERM");
      assert.equal(await cluster.node("c").ended, 0);
      await cluster.join("c");
    });

    await t.step("a client that goes away in mid-stream frees the replica", async () => {
      const stream = await cluster.client.completions.create({
        ...{ model: "dense", prompt: "Once", max_tokens: 400, temperature: 0, stream: true },
      });
      for await (const _ of stream) break;
      const running = async () => {
        const status = await (await fetch(`${cluster.node("a").url}/status`)).text();
        return /"running":[1-9]/.test(status);
      };
      while (await running()) await passing(20);
    });

    await t.step("200 requests lose nothing when a node is killed among them", async () => {
      const text = published(dense).text.trim();
      let finished = 0;
      const read = async () => {
        const answer = await cluster.read("wide", 200);
        if (++finished === 40) await cluster.node("b").kill();
        return answer;
      };
      const worker = async (count: number) => {
        const answers: string[] = [];
        for (let i = 0; i < count; i++) answers.push(await read());
        return answers;
      };
      const answers = (await Promise.all(Array.from({ length: 20 }, () => worker(10)))).flat();
      assert.equal(answers.length, 200);
      assert.deepEqual([...new Set(answers)], [text]);
    });
  },
);
