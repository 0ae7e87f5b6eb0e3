/** Another build of the project for node processes: the same code under another version. */

const root = new URL("../../", import.meta.url);

/** Another build. Disposing of it removes its files. */
export interface OtherBuild extends AsyncDisposable {
  /** Arguments of Deno that run it. */
  readonly deno: readonly string[];
}

/** Makes a build of a version that speaks these protocols: an import map puts its `version.ts` in place. */
export async function otherBuild(
  version: string,
  protocols: { readonly least: number; readonly most: number },
): Promise<OtherBuild> {
  const dir = await Deno.makeTempDir({ prefix: "build-" });
  const manifest = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const source = `export const version = ${JSON.stringify(version)};
export const protocolRange = ${JSON.stringify(protocols)};\n`;
  await Deno.writeTextFile(`${dir}/version.ts`, source);
  const imports = {
    ...manifest.imports,
    [new URL("actors/version.ts", root).href]: `file://${dir}/version.ts`,
  };
  const { compilerOptions, unstable } = manifest;
  const lock = new URL("deno.lock", root).pathname;
  const config = { imports, compilerOptions, unstable, lock };
  await Deno.writeTextFile(`${dir}/deno.json`, JSON.stringify(config));
  return {
    deno: ["--config", `${dir}/deno.json`, "--frozen"],
    [Symbol.asyncDispose]: () => Deno.remove(dir, { recursive: true }),
  };
}
