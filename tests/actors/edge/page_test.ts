import { deepEqual, equal, match } from "node:assert/strict";
import { type Browser, chromium, type Page } from "playwright-core";
import { startServer } from "../../../actors/edge/mod.ts";
import { ActorError } from "../../../runtime/mod.ts";
import { withDesk } from "./desk.ts";
import { hang, type Harness } from "./support.ts";

const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
  .find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });

/** Registers a test in a real browser; without one it fails in CI and is skipped elsewhere. */
function pageTest(name: string, body: (page: Page, harness: Harness) => Promise<void>): void {
  if (program === undefined && Deno.env.get("CI") !== "true") {
    Deno.test({ name: `${name} [skipped: no chromium]`, ignore: true, fn: () => {} });
    return;
  }
  // The browser is a process whose pipes close in their own time.
  Deno.test({ name, sanitizeOps: false, sanitizeResources: false, fn: () => inBrowser(body) });
}

function inBrowser(body: (page: Page, harness: Harness) => Promise<void>): Promise<void> {
  return withDesk(async (harness) => {
    if (program === undefined) throw new Error("Cannot find chromium, which tests the status page");
    const server = startServer({ edge: harness.edge, host: "127.0.0.1", port: 0 });
    const launched: Browser = await chromium.launch({
      executablePath: program,
      args: ["--no-sandbox"],
    });
    try {
      const page = await launched.newPage();
      page.setDefaultTimeout(10_000);
      const problems: string[] = [];
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (line) => line.type() === "error" && problems.push(line.text()));
      await page.goto(server.url);
      await body(page, harness);
      deepEqual(problems, []);
    } finally {
      await launched.close();
      await server.stop(0);
    }
  });
}

pageTest("the status page shows families, levels and shares", async (page) => {
  await page.getByRole("row", { name: /small.*75\.0 %.*-0\.250.*96.*1\/1/ }).waitFor();
  const share = page.getByRole("img", { name: /small 75\.0 %, giant 25\.0 %/ });
  equal(await share.count(), 1);
  match(await page.getByRole("status").first().innerText(), /^ready$/);
  deepEqual(await page.locator("#model option").allInnerTexts(), ["zoo", "zoo/small", "zoo/giant"]);
  equal(await page.getByLabel("API key").isVisible(), false);
});

pageTest("the status page shows the nodes of a cluster", async (page) => {
  await page.getByRole("row", { name: /worker:w draining 0\.1\.0 cpu 16\.0 GB/ }).waitFor();
  await page.getByRole("row", { name: /router:a serving 0\.1\.0 nothing/ }).waitFor();
});

pageTest(
  "the status page sends a chat and shows answer, levels and errors",
  async (page, harness) => {
    await page.getByRole("button", { name: "7350+7994" }).click();
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByText("confidence -0.125").waitFor();
    equal(await page.locator("#answer").innerText(), "Hello wörld");
    deepEqual(await page.locator("#path strong").allInnerTexts(), ["small", "giant"]);
    // deno-lint-ignore require-yield -- it waits for the button
    harness.script.answer = async function* (_request, signal) {
      await hang(signal);
    };
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByRole("button", { name: "Stop" }).click();
    await page.locator("#send:enabled").waitFor();
    equal(await page.locator("#error").innerText(), "");
    harness.script.answer = async function* () {
      yield { type: "text", text: "a", tokens: [] };
      throw await Promise.resolve(new ActorError("Terminated", "gone"));
    };
    await page.getByRole("button", { name: "Send" }).click();
    await page.getByRole("alert").getByText("Cannot reach the model").waitFor();
  },
);
