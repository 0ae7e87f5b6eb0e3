/** Decoding attention that also does what `rotate_append` does. */
import type { Binding, Defines, Dispatch, PlanContext, Rotation } from "../dispatch.ts";
import { float, write } from "./operands.ts";

/** Bindings of `attention_decode`: keys and values are 2 and 3, the table of angles is 8. */
const [KEYS, VALUES, TABLE] = [1, 2, 8];

/** Whether a decoding dispatch can rotate what it reads. */
export function canRotate(
  { device }: PlanContext,
  rotation: Rotation,
  { bindings }: Dispatch,
): boolean {
  const isSame = bindings[0]!.buffer === rotation.qkv && bindings[KEYS]!.buffer === rotation.keys;
  const count = bindings.length + rotation.norms.length + 1;
  return isSame && count <= device.limits.maxStorageBuffersPerShaderStage;
}

/** What the kernel is to know of a rotation. */
export function rotatedDefines(rotation: Rotation): Defines {
  const { eps, norms, pages, sequences } = rotation;
  const at = (name: "query" | "key") => {
    const index = norms.findIndex(({ of }) => of === name);
    return index < 0 ? false : TABLE + 1 + index;
  };
  return {
    ROTATE: true,
    CACHE_ACCESS: "read_write",
    PAGES: pages,
    SEQUENCES: sequences,
    NORMS: norms.length > 0,
    QUERY_NORM: at("query"),
    KEY_NORM: at("key"),
    EPS: float(eps),
  };
}

/** What the kernel binds: the cache for writing, too, then the table and the norms. */
export function rotatedBindings(rotation: Rotation, bindings: readonly Binding[]): Binding[] {
  const { table, norms } = rotation;
  return [
    ...bindings.map((binding, i) => i === KEYS || i === VALUES ? write(binding) : binding),
    table,
    ...norms.map(({ weight }) => weight),
  ];
}
