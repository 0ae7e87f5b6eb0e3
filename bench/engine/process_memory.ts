/** The largest resident size of this process so far; `null` where the system does not tell. */
export function peakResidentBytes(): number | null {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(Deno.readTextFileSync("/proc/self/status"))?.[1];
    return kilobytes === undefined ? null : Number(kilobytes) * 1024;
  } catch {
    return null;
  }
}
