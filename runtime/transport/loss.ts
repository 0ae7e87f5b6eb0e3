/** Endpoints that are gone: those of a node (`node/`), of a lane (`node/lane/`), or of all (``). */
export interface Loss {
  readonly prefix: string;
  /** Those that are not gone. */
  readonly except?: string;
  readonly why: string;
  /** Only what is done for them is void; what waits for them is told by itself. */
  readonly onlyServed?: boolean;
}

/** Whether a node or endpoint is among those that are gone. */
export function isLost({ prefix, except }: Loss, endpoint: string): boolean {
  const path = `${endpoint}/`;
  return path.startsWith(prefix) && (except === undefined || !path.startsWith(except));
}
