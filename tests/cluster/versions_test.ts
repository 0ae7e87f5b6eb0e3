import assert from "node:assert/strict";
import { version } from "../../actors/version.ts";
import { otherBuild } from "../support/other_build.ts";
import { sharedTest } from "../support/shared.ts";
import { Pair } from "./pair.ts";

sharedTest(
  "processes of two versions work together, and one that cannot is refused",
  "models/stories260K",
  async (model) => {
    await using next = await otherBuild("9.0.0", { least: 1, most: 2 });
    await using future = await otherBuild("99.0.0", { least: 7, most: 9 });
    const partitions = [{ layers: 2, node: "a" }, { layers: 3, node: "b" }];
    await using pair = await Pair.open(model, {}, { replicas: 1, partitions });
    await Promise.all([pair.join("a"), pair.join("b", next.deno)]);
    await pair.observer.until(
      "a replica lies over both",
      () => pair.observer.replicas.some(({ partitions }) => partitions[1]?.node === "b"),
    );
    const versions = (await pair.status("a")).nodes.map(({ version }: { version: string }) =>
      version
    );
    assert.deepEqual(versions, [version, "9.0.0"]);
    await Promise.all([pair.reads("a"), pair.reads("b")]);

    const rule = (theirs: string, ours: string) =>
      new RegExp(`it speaks protocols ${theirs}, this node ${ours}(: \\w+)?$`);
    const foreign = "7 to 9 \\(version 99.0.0\\)";
    await assert.rejects(pair.join("c", future.deno), rule("1 to \\d \\(version \\S+\\)", foreign));
    const own = { a: `1 to 1 \\(version ${version}\\)`, b: "1 to 2 \\(version 9.0.0\\)" };
    for (const [node, ours] of Object.entries(own)) {
      assert.match((await pair.status(node)).refused.c, rule(foreign, ours));
    }
    await pair.reads("a");
  },
);
