/** Workgroup counts. */
import type { Grid } from "./dispatch.ts";

/** The most workgroups of a dimension that every adapter takes. */
export const MAX_GROUPS = 65535;

/**
 * Sets a grid of at least `groups` workgroups, folded into y where x is full. Kernels number them by
 * `id.x + id.y * count.x` and let those from `groups` on do nothing.
 */
export function fold(into: Grid, groups: number): void {
  const rows = Math.ceil(groups / MAX_GROUPS);
  into[0] = rows > 1 ? MAX_GROUPS : groups;
  into[1] = rows;
  into[2] = 1;
}
