/** The backend's tests again on a second driver, which a process must choose before it starts. */
import assert from "node:assert/strict";

const manifests = ["/usr/lib/chromium/vk_swiftshader_icd.json"];
const manifest = manifests.find(exists);
const root = new URL("../../../", import.meta.url);

const runs = {
  "the backend contract": ["tests/kernels/webgpu_test.ts"],
  "shards and readback": [
    "tests/kernels/webgpu/shards_test.ts",
    "tests/kernels/webgpu/readback_test.ts",
  ],
  "the published ids": ["tests/kernels/models/stories_test.ts", "--filter", "webgpu reproduces"],
};

/** What compiles within seconds there: under Dawn, SwiftShader takes a minute for some kernels. */
const quick =
  "/embed|rmsNorm|swiglu|gather|route|run|linear\\(\\) (adds|widens|passes)|attention.*1\\/1/";
const dawn = ["tests/kernels/webgpu_test.ts", "--filter", quick];

const all = [
  ...Object.entries(runs).map(([what, args]) => ({ what, args, provider: "deno" })),
  { what: "some of the contract", args: dawn, provider: "dawn" },
];

for (const { what, args, provider } of all) {
  const name = `SwiftShader under ${provider} passes ${what}`;
  if (manifest) Deno.test(name, () => passes(manifest, provider, args));
  else if (Deno.env.get("CI") === "true") {
    Deno.test(
      name,
      () => assert.fail("Cannot run in CI without SwiftShader: apt-get install chromium"),
    );
  } else Deno.test({ name: `${name} [skipped: no chromium]`, ignore: true, fn: () => {} });
}

async function passes(icd: string, provider: string, args: readonly string[]): Promise<void> {
  const flags = ["test", "--allow-all", "--no-check", "--sanitize-ops", "--sanitize-resources"];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...flags, ...args],
    cwd: root,
    env: {
      VK_DRIVER_FILES: icd,
      VK_ICD_FILENAMES: icd,
      TANDEM_TEST_ADAPTER: "SwiftShader",
      TANDEM_TEST_PROVIDER: provider,
      NO_COLOR: "1",
    },
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert(success, text.slice(text.indexOf("ERRORS")));
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
