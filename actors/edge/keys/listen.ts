import { ConfigError } from "../../config/mod.ts";
import type { KeyRing } from "./ring.ts";

/** Whether only this machine can reach a host. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/** Refuses to open the server to others without keys. Throws `ConfigError`. */
export function requireKeys(host: string, keys: KeyRing | null): void {
  if (keys !== null || isLoopback(host)) return;
  const cure = "give --keys FILE or TANDEM_API_KEYS, or listen on 127.0.0.1";
  throw new ConfigError(
    "Invalid",
    `Cannot listen without API keys where others can call (${cure}): ${host}`,
  );
}
