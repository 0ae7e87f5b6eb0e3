/** A file system of a few megabytes, which can be filled up: in a mount namespace that ends with its holder. */

/** A disk. Disposing of it unmounts it. */
export interface SmallDisk extends AsyncDisposable {
  /** Where it is mounted, for processes that are started behind `wrapper`. */
  readonly dir: string;
  /** What goes before the command of a process that is to see it. */
  readonly wrapper: readonly string[];
  /** Writes until there is no room. */
  fill(): Promise<void>;
  /** Removes what `fill()` has written. */
  free(): Promise<void>;
}

/** As root of a namespace of its own, or as root. */
const ways = { "--map-root-user": ["-U", "--preserve-credentials"], "--mount": [] };

type Way = keyof typeof ways;

/** A way to mount; `null` where this system allows none. */
function findWay(): Way | null {
  const works = (way: string) => {
    const args = ["--mount", way, "mount", "-t", "tmpfs", "tmpfs", "/mnt"];
    const quiet = { stdout: "null", stderr: "null" } as const;
    return new Deno.Command("unshare", { args, ...quiet }).outputSync().success;
  };
  return (Object.keys(ways) as Way[]).find(works) ?? null;
}

/** Why there can be no small disk; `null` where there can. */
export function whyNoDisk(): string | null {
  if (Deno.build.os !== "linux") return "mounts in namespaces are of Linux";
  try {
    return findWay() === null ? "mounts are not permitted" : null;
  } catch {
    return "unshare is not installed";
  }
}

/** Mounts a disk of so many megabytes. */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk> {
  const way = findWay()!;
  const dir = await Deno.makeTempDir({ prefix: "disk-" });
  const script = `mount -t tmpfs -o size=${megabytes}m tmpfs ${dir} && echo mounted && cat`;
  const holder = new Deno.Command("unshare", {
    args: ["--mount", way, "sh", "-c", script],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = holder.stdout.getReader();
  if ((await reader.read()).done) throw new Error(`Cannot mount a disk at: ${dir}`);
  const filler = `/proc/${holder.pid}/root${dir}/filler`;
  return {
    dir,
    wrapper: ["nsenter", "-t", String(holder.pid), "-m", ...ways[way]],
    async fill() {
      const block = new Uint8Array(4096);
      using file = await Deno.open(filler, { write: true, create: true });
      while (await file.write(block).catch(() => 0) === block.length);
    },
    free: () => Deno.remove(filler),
    async [Symbol.asyncDispose]() {
      await holder.stdin.close();
      await holder.status;
      await reader.cancel();
      await Deno.remove(dir);
    },
  };
}
