import type { FamilyStatus, LevelSummary, ReplicaSummary } from "../protocol.ts";

/** What two routers of one family say together: work is added up, and what either can reach is there. */
export function mergeStatuses(a: FamilyStatus, b: FamilyStatus): FamilyStatus {
  return {
    family: a.family,
    ready: a.ready || b.ready,
    levels: a.levels.map((level) => mergeLevel(level, b.levels)),
    requests: {
      running: a.requests.running + b.requests.running,
      finished: a.requests.finished + b.requests.finished,
      failed: a.requests.failed + b.requests.failed,
    },
    answered: addUp(a.answered, b.answered),
  };
}

function mergeLevel(level: LevelSummary, others: readonly LevelSummary[]): LevelSummary {
  const same = others.find(({ name }) => name === level.name);
  if (!same) return level;
  const replicas = new Map<string, ReplicaSummary>();
  for (const replica of [...level.replicas, ...same.replicas]) {
    if (!replicas.get(replica.address)?.alive) replicas.set(replica.address, replica);
  }
  return { ...level, replicas: [...replicas.values()] };
}

function addUp(a: FamilyStatus["answered"], b: FamilyStatus["answered"]): FamilyStatus["answered"] {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries([...names].map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]));
}
