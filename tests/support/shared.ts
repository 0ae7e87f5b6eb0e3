/** Where the data that the project does not ship lies, and how tests ask for it. */
const root = new URL("../../", import.meta.url);

/** The folder of shared data, from `TANDEM_SHARED` or beside the checkout; `null` when absent. */
export function sharedRoot(): string | null {
  const candidates = [Deno.env.get("TANDEM_SHARED"), new URL("../shared", root).pathname];
  return candidates.find((path) => path !== undefined && exists(path)) ?? null;
}

/** The path of one shared file or folder. Throws when the shared data is absent. */
export function sharedPath(relative: string): string {
  const shared = sharedRoot();
  if (shared === null) throw new Error(`Cannot find shared data: ${relative}`);
  return `${shared}/${relative}`;
}

/**
 * Registers a test that reads shared data. Without the data it fails in CI and is skipped elsewhere,
 * with the reason in its name.
 */
export function sharedTest(
  name: string,
  relative: string,
  body: (path: string, t: Deno.TestContext) => void | Promise<void>,
): void {
  const shared = sharedRoot();
  if (shared !== null && exists(`${shared}/${relative}`)) {
    Deno.test(name, (t) => body(`${shared}/${relative}`, t));
  } else if (Deno.env.get("CI") === "true") {
    Deno.test(name, () => {
      throw new Error(`Cannot run in CI without shared data: ${relative}`);
    });
  } else {
    Deno.test({
      name: `${name} [skipped: no shared data ${relative}]`,
      ignore: true,
      fn: () => {},
    });
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
