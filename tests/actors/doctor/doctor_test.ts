import { deepStrictEqual, match, ok, strictEqual } from "node:assert";
import { inspectCpu } from "../../../actors/doctor/cpu.ts";
import type { Finding } from "../../../actors/doctor/finding.ts";
import { inspectDisk, inspectMemory } from "../../../actors/doctor/machine.ts";
import { formatFindings } from "../../../actors/doctor/report.ts";

const decoder = new TextDecoder();

Deno.test("inspectCpu() computes right here", async () => {
  const { verdict, facts } = await inspectCpu();
  strictEqual(verdict, "ok");
  ok(Number(facts.selfTestError) < 1e-5);
});

Deno.test("inspectMemory() and inspectDisk() report bytes", () => {
  ok(Number(inspectMemory().facts.totalBytes) > 0);
  ok(Number(inspectDisk(".").facts.freeBytes) > 0);
});

Deno.test("inspectDisk() says null of a folder that does not exist", () => {
  const { verdict, facts, summary } = inspectDisk("/no such folder");
  strictEqual(verdict, "warning");
  strictEqual(facts.freeBytes, null);
  match(summary, /no such folder/);
});

Deno.test("formatFindings() puts facts and advice below their part", () => {
  const finding = (part: string, verdict: Finding["verdict"]): Finding => ({
    part,
    verdict,
    summary: "summary",
    details: ["a fact"],
    advice: "do this",
    facts: {},
  });
  deepStrictEqual(
    formatFindings([finding("cpu", "ok"), finding("memory", "problem")]).split("\n"),
    [
      "cpu     ok      summary",
      "                a fact",
      "                -> do this",
      "memory  PROBLEM summary",
      "                a fact",
      "                -> do this",
    ],
  );
});

Deno.test("doctor prints every part as JSON and ends with 1 when NATS is not there", async () => {
  const { code, stdout } = await doctor("--json", "--nats", "nats://127.0.0.1:1");
  strictEqual(code, 1);
  const parts = JSON.parse(stdout);
  deepStrictEqual(Object.keys(parts), ["runtime", "cpu", "gpu", "memory", "disk", "nats"]);
  strictEqual(parts.nats.reachable, false);
  strictEqual(typeof parts.gpu.adapter.software, "boolean");
  ok(parts.gpu.selfTestError < 1e-5);
  ok(parts.gpu.copyBytesPerSecond > 0);
});

Deno.test("doctor refuses a provider that it does not know", async () => {
  const { code, stderr } = await doctor("--provider", "metal");
  strictEqual(code, 1);
  match(stderr, /Cannot use --provider, deno or dawn expected: metal/);
});

async function doctor(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "-q", "doctor", ...args],
    env: { NO_COLOR: "1" },
  }).output();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
