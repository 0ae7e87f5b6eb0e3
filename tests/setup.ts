/**
 * First step of `deno task test`: installs the Debian packages that the tests need where it may (as root or
 * with passwordless sudo), else says which to install.
 */
interface Package {
  readonly name: string;
  /** A shell command that succeeds where it is installed. */
  readonly check: string;
  readonly use: string;
}

const packages: readonly Package[] = [
  {
    name: "chromium",
    check: "command -v chromium",
    use: "the status page in a real browser, and WebGPU on SwiftShader",
  },
  { name: "nats-server", check: "command -v nats-server", use: "nodes that meet over NATS" },
  { name: "libvulkan1", check: "ldconfig -p | grep -q libvulkan.so.1", use: "WebGPU" },
  {
    name: "mesa-vulkan-drivers",
    check: "ls /usr/share/vulkan/icd.d/lvp_icd*.json",
    use: "WebGPU without a GPU",
  },
  { name: "openssl", check: "command -v openssl", use: "certificates of nodes" },
];

const missing = packages.filter(({ check }) => !succeeds("sh", ["-c", check]));
if (missing.length > 0 && !install(missing.map(({ name }) => name))) {
  for (const { name, use } of missing) {
    console.error(`Cannot find ${name}, which tests ${use}. Install it: apt-get install ${name}`);
  }
  if (Deno.env.get("CI") === "true") Deno.exit(1);
}

function install(names: readonly string[]): boolean {
  const prefix = Deno.uid() === 0 ? [] : ["sudo", "-n"];
  if (prefix.length > 0 && !succeeds("sudo", ["-n", "true"])) return false;
  if (!succeeds("sh", ["-c", "command -v apt-get"])) return false;
  console.error(`Installing Debian packages: ${names.join(" ")}`);
  const apt = (...args: string[]) =>
    run([...prefix, "apt-get", "-qq", "-o", "Dpkg::Use-Pty=0", ...args]);
  return (apt("update") || true) && apt("install", "-y", "--no-install-recommends", ...names);
}

function run([program, ...args]: string[]): boolean {
  const command = new Deno.Command(program!, {
    args,
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdout: "null",
    stderr: "inherit",
  });
  return command.outputSync().success;
}

function succeeds(program: string, args: string[]): boolean {
  try {
    return new Deno.Command(program, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}
