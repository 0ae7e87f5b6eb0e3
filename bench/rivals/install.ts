const folder = new URL("./", import.meta.url).pathname;

/** Installs the rivals' packages when they are missing. Needs npm; runs no package's scripts. */
export async function installRivals(
  log: (line: string) => void,
): Promise<void> {
  if (await exists(`${folder}node_modules/node-llama-cpp/package.json`)) return;
  log("Installing node-llama-cpp with npm");
  const args = [
    "install",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
  ];
  const { success, stderr } = await new Deno.Command("npm", {
    args,
    cwd: folder,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    throw new Error(
      `Cannot install rivals: ${new TextDecoder().decode(stderr)}`,
    );
  }
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
