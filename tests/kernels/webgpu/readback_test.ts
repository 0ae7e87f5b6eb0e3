import assert from "node:assert/strict";
import { gpuTest } from "../../support/gpu.ts";
import {
  activation,
  assertRefused,
  assertSame,
  floats,
  integers,
  Random,
} from "../contract/values.ts";

gpuTest("run() brings its outputs along: one submit and one readback a step", async (backend) => {
  const random = new Random(1);
  const [x, y] = [activation(backend, [8, 6]), activation(backend, [8, 6])];
  const [ids, all] = [integers(backend, [8], undefined, "tokens"), activation(backend, [8, 2])];
  const program = backend.record("sum", (r) => {
    r.add(y, x);
    r.clear(ids);
  }, { outputs: [y, ids, all] });
  await backend.run(program, { tokens: 8, samples: 0 });
  for (const tokens of [1, 8, 3, 0, 5]) {
    const [a, b] = [random.floats(48), random.floats(48)];
    backend.write(x, a);
    backend.write(y, b);
    backend.write(ids, new Int32Array(8).fill(4));
    const { submits, readbacks } = backend.counters;
    await backend.run(program, { tokens, samples: 0 });
    const sums = await floats(backend, y, tokens * 6);
    assertSame(
      sums,
      a.map((value, i) => Math.fround(value + b[i]!)).subarray(0, tokens * 6),
      "sums",
    );
    assertSame(await backend.read(ids, new Int32Array(tokens)), new Int32Array(tokens), "ids");
    assert.equal(backend.counters.submits - submits, 1);
    assert.equal(backend.counters.readbacks - readbacks, tokens > 0 ? 1 : 0);
  }
});

gpuTest("read() sees what was written or run after the outputs were brought", async (backend) => {
  const x = activation(backend, [2, 4], new Float32Array(8).fill(1));
  const counts = { tokens: 2, samples: 0 };
  const double = backend.record("double", (r) => r.add(x, x), { outputs: [x] });
  const silent = backend.record("silent", (r) => r.add(x, x));
  await backend.run(double, counts);
  backend.write(x, Float32Array.of(9), 3);
  assertSame(await floats(backend, x, 8), [2, 2, 2, 9, 2, 2, 2, 2], "written");
  await backend.run(double, counts);
  await backend.run(silent, counts);
  assertSame(await floats(backend, x, 8), [8, 8, 8, 36, 8, 8, 8, 8], "run");
  await backend.run(double, { tokens: 1, samples: 0 });
  assertSame(await floats(backend, x, 8), [16, 16, 16, 72, 8, 8, 8, 8], "more than was live");
});

gpuTest("run() computes anew when its commands were made ahead", async (backend) => {
  const [x, y] = [activation(backend, [8, 4]), activation(backend, [8, 4])];
  const add = backend.record("add", (r) => r.add(y, x), { outputs: [y] });
  const both = backend.record("both", (r) => r.add(y, x), { outputs: [y, x] });
  const large = activation(backend, [8, 2000]);
  const clear = backend.record("clear", (r) => r.clear(large), { outputs: [large] });
  let sum = 0;
  for (const [i, tokens] of [2, 2, 2, 2, 3, 2, 2, 8, 8, 8].entries()) {
    const counts = { tokens, samples: 0 };
    sum = tokens === 8 && sum < 100 ? 100 : sum;
    backend.write(y, new Float32Array(32).fill(sum));
    backend.write(x, new Float32Array(32).fill(i));
    await backend.run(i % 4 === 3 ? both : add, counts);
    sum += i;
    const length = tokens * 4;
    assertSame(await floats(backend, y, length), new Float32Array(length).fill(sum), `run ${i}`);
    // Replaces the staging buffer by a larger one.
    if (i === 7) await backend.run(clear, counts);
  }
});

gpuTest("run() starts nothing for rows that are not live", async (backend) => {
  const [x, y] = [activation(backend, [4, 4]), activation(backend, [4, 4], undefined, "samples")];
  const program = backend.record("both", (r) => {
    r.clear(x);
    r.clear(y);
  });
  await backend.run(program, { tokens: 3, samples: 0 });
  await backend.run(program, { tokens: 3, samples: 1 });
  assert.equal(backend.counters.dispatches, 3);
});

gpuTest("profile() times every dispatch", async (backend, gpu) => {
  const x = activation(backend, [4, 4]);
  const program = backend.record("two", (r) => {
    r.clear(x);
    r.add(x, x);
  });
  const run = () => backend.profile(program, { tokens: 3, samples: 0 });
  if (!gpu.timestamps) return await assertRefused(run, "Unsupported", "2 dispatches");
  const rows = await run();
  assert.deepEqual(rows.map(({ label, bytes }) => [label, bytes]), [["clear", 48], ["add", 48]]);
  for (const { nanoseconds } of rows) assert(nanoseconds >= 0);
});
