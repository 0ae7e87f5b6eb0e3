import assert from "node:assert/strict";
import fc from "fast-check";
import { Letter } from "../../runtime/letter.ts";
import { Mailbox } from "../../runtime/mailbox.ts";
import { sizeOf } from "../../runtime/size.ts";

const letterOf = (bytes: number) => new Letter("m", null, bytes, Infinity, null, null);

Deno.test("Mailbox keeps order and both bounds, whatever comes and goes", () => {
  const limits = { messages: 700, bytes: 5000 };
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -9, max: 9 }), { maxLength: 300 }), (moves) => {
      const mailbox = new Mailbox(limits);
      const model: Letter[] = [];
      for (const move of moves) {
        for (let n = 0; n < Math.abs(move) * 20; n++) {
          if (move < 0) assert.equal(mailbox.take(), model.shift());
          else {
            const letter = letterOf(n % 50);
            const bytes = model.reduce((sum, { bytes }) => sum + bytes, letter.bytes);
            const fits = model.length < limits.messages && bytes <= limits.bytes;
            assert.equal(mailbox.offer(letter), fits ? null : "Overloaded");
            if (fits) model.push(letter);
          }
        }
        assert.equal(mailbox.size, model.length);
        assert.equal(mailbox.bytes, model.reduce((sum, { bytes }) => sum + bytes, 0));
        assert.equal(mailbox.isEmpty, model.length === 0);
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("Mailbox refuses for good what could never fit", () => {
  assert.equal(new Mailbox({ bytes: 10 }).offer(letterOf(11)), "TooLarge");
});

Deno.test("Mailbox serves control that no bound refuses", () => {
  const mailbox = new Mailbox({ messages: 0 });
  assert.equal(mailbox.offer(letterOf(1)), "Overloaded");
  const work = () => {};
  mailbox.offerControl(work);
  assert.equal(mailbox.isEmpty, false);
  assert.equal(mailbox.takeControl(), work);
  assert.equal(mailbox.takeControl(), undefined);
});

Deno.test("sizeOf() counts buffers and text in full, and ends on cycles", () => {
  assert.equal(sizeOf(1), 16);
  assert.ok(sizeOf("x".repeat(1000)) >= 2000);
  assert.ok(sizeOf({ tensor: { shape: [2], data: new Float32Array(1000) } }) >= 4000);
  assert.ok(sizeOf(Array.from({ length: 5000 }, () => 1)) >= 5000 * 8);
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  assert.ok(sizeOf(cycle) < 20_000);
});
