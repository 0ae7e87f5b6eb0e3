/** The planner of a cluster: one at a time, by a lease, it keeps running what should run. */
import {
  type ActorDefinition,
  type Context,
  defineActor,
  type MemberEvent,
  type Membership,
} from "../../runtime/mod.ts";
import type { NodeFacts, ReplicaPlacement } from "../node_protocol.ts";
import { bringDown, bringUp, retireReplica, unhost } from "./deploy.ts";
import { demandsOf } from "./demands.ts";
import { Fleet, nodesOf } from "./fleet.ts";
import { actorName, levelKey } from "./parts.ts";
import type { Demand } from "./place.ts";
import { type Addition, makePlan } from "./plan.ts";

/** What a planner is started with. */
export interface PlannerArgs {
  /** Epoch of its lease: its orders carry it, and nodes refuse those of earlier ones. */
  readonly epoch: number;
  /** The nodes. */
  readonly membership: Membership;
  /** How long it waits after a change for others that come with it, in milliseconds. */
  readonly settleMs: number;
  /** Told how things stand, whenever that may have changed. */
  readonly report: (news: PlannerNews) => void;
}

/** What others are told of a planner's work. */
export interface PlannerNews {
  /** What could not be done, for people; one line each. */
  readonly problems: readonly string[];
  /** Levels that replicas are brought up of, as `levelKey()` names them; absent while that is not known. */
  readonly coming?: readonly string[];
}

/** What a planner says of its work. */
export interface PlannerStatus {
  /** Epoch of its lease. */
  readonly epoch: number;
  /** Replicas that are being brought up. */
  readonly pending: number;
  /** What could not be done, for people; one line each. */
  readonly problems: readonly string[];
}

/** A planner. */
export interface PlannerProtocol {
  /** Compares what runs with what should, and begins what is to be done. */
  review(): void;
  /** Answers once nothing is pending. */
  settle(): PlannerStatus;
  /** Says what it does. */
  status(): PlannerStatus;
}

/** A replica that could not be brought up: when to try again. */
interface Setback {
  readonly until: number;
  readonly waitMs: number;
  readonly why: string;
}

interface PlannerState extends PlannerArgs {
  readonly fleet: Fleet;
  /** Replicas that are being brought up. */
  readonly adding: Map<string, ReplicaPlacement>;
  /** Replicas that finish what they are at, to be stopped then. */
  readonly retiring: Map<string, ReplicaPlacement>;
  /** By `levelKey()`. */
  readonly setbacks: Map<string, Setback>;
  readonly settled: Set<() => void>;
  problems: readonly string[];
  ids: number;
  reviewed: boolean;
  closed: boolean;
  cancelTimer: () => void;
  unfollow: () => void;
}

/** How often what runs is compared with what should, without any news. */
const REVIEW_MS = 15_000;

/** How soon after the loss of a node it is planned anew: losses may come together, but requests wait. */
const LOSS_SETTLE_MS = 100;

/** How long a level waits after a failure: first, and at most after failures in a row. */
const BACKOFF_MS = { first: 500, most: 60_000 } as const;

/** The kind and id of a cluster's planner. */
export const plannerKind = "planner";

/** The planner of a cluster. */
// deno-lint-ignore no-explicit-any -- its state is its own affair, and appears in both variances
export const Planner: ActorDefinition<PlannerProtocol, any, PlannerArgs> = defineActor<
  PlannerProtocol,
  PlannerState,
  PlannerArgs
>({
  kind: plannerKind,
  concurrent: ["settle"],
  start(context, args) {
    const fleet = new Fleet(args.membership, () => context.clock.monotonic());
    const state: PlannerState = {
      ...args,
      fleet,
      adding: new Map(),
      retiring: new Map(),
      setbacks: new Map(),
      settled: new Set(),
      problems: [],
      ids: 0,
      reviewed: false,
      closed: false,
      cancelTimer: () => {},
      unfollow: args.membership.on((event) => follow(state, context, event)),
    };
    schedule(state, context, args.settleMs);
    return state;
  },
  stop(state) {
    state.closed = true;
    state.unfollow();
    state.cancelTimer();
    for (const tell of state.settled) tell();
  },
  receive: {
    review: (state, _message, context) => review(state, context),
    status: (state) => statusOf(state),
    async settle(state) {
      while (!state.reviewed || state.adding.size > 0) {
        await new Promise<void>((resolve) => state.settled.add(resolve));
      }
      return statusOf(state);
    },
  },
});

type PlannerContext = Context<PlannerProtocol>;

function statusOf({ epoch, adding, problems, setbacks }: PlannerState): PlannerStatus {
  const failures = setbacks.values().map(({ why }) => why);
  return { epoch, pending: adding.size, problems: [...problems, ...failures] };
}

function follow(state: PlannerState, context: PlannerContext, event: MemberEvent): void {
  if (!state.fleet.note(event)) return;
  const isLoss = event.type === "left";
  schedule(state, context, Math.min(state.settleMs, isLoss ? LOSS_SETTLE_MS : Infinity));
}

/** Reviews after a while, and not before: changes come in swarms. */
function schedule(state: PlannerState, { clock, self }: PlannerContext, waitMs: number): void {
  if (state.closed) return;
  state.cancelTimer();
  state.cancelTimer = clock.setTimer(waitMs, () => self.tell("review"));
}

function review(state: PlannerState, context: PlannerContext): void {
  const { fleet, adding, retiring, setbacks } = state;
  const nodes = fleet.nodes;
  const { demands, problems } = demandsOf(nodes);
  const known = fleet.replicas(nodes).filter(({ placement: { id } }) =>
    !adding.has(id) && !retiring.has(id)
  );
  const whole = known.filter((replica) => replica.whole).map(({ placement }) => placement);
  const plan = makePlan({
    demands,
    nodes,
    running: [...whole, ...adding.values()],
    isBlocked: (demand) => context.clock.monotonic() < (setbacks.get(keyOf(demand))?.until ?? 0),
    newId: (demand) => newId(state, demand),
  });
  const broken = known.filter((replica) => !replica.whole).map(({ placement }) => placement);
  state.problems = [...problems, ...plan.problems];
  for (const placement of broken) drop(state, context, placement);
  for (const placement of plan.drop) void retire(state, context, placement);
  for (const addition of plan.add) void add(state, context, addition);
  const accounted = [
    ...known.map(({ placement }) => placement),
    ...adding.values(),
    ...retiring.values(),
  ];
  if (!fleet.isSettling) sweep(state, context, nodes, accounted);
  state.reviewed = true;
  report(state);
  planAhead(state, context);
  tellSettled(state);
}

function report(state: PlannerState): void {
  const { problems } = statusOf(state);
  const isSure = state.reviewed && !state.fleet.isSettling;
  const coming = [...new Set(state.adding.values().map(levelKey))];
  state.report({ problems, ...((isSure || coming.length > 0) && { coming }) });
}

/** Looks again when a setback or the patience with missing nodes ends; and now and then, come what may. */
function planAhead(state: PlannerState, context: PlannerContext): void {
  const { fleet, setbacks } = state;
  const now = context.clock.monotonic();
  const ends = [...setbacks.values()].map(({ until }) => until - now).filter((ms) => ms > 0);
  if (fleet.isSettling) ends.push(fleet.settlesInMs + 1);
  schedule(state, context, Math.min(REVIEW_MS, ...ends));
}

/** Never used by anybody: the epoch is this planner's own. */
function newId(state: PlannerState, { family, level }: Demand): string {
  const name = `${family.slice(0, 24)}-${level.name.slice(0, 24)}`;
  return actorName(`${name}-${state.epoch}-${state.ids++}`);
}

function drop(
  state: PlannerState,
  { system, log }: PlannerContext,
  placement: ReplicaPlacement,
): void {
  state.fleet.dropped(placement);
  log.debug("Stops a replica", { replica: placement.id });
  void bringDown(system, state.epoch, placement);
}

/** Stops a replica that runs, once it has handed over what it is at. */
async function retire(
  state: PlannerState,
  { system, log }: PlannerContext,
  placement: ReplicaPlacement,
): Promise<void> {
  const { id } = placement;
  state.retiring.set(id, placement);
  log.debug("Retires a replica", { replica: id });
  await retireReplica(system, state.epoch, placement);
  state.fleet.dropped(placement);
  state.retiring.delete(id);
}

async function add(
  state: PlannerState,
  context: PlannerContext,
  { placement, replaces }: Addition,
): Promise<void> {
  const { system, log, clock } = context;
  const key = levelKey(placement);
  state.adding.set(placement.id, placement);
  try {
    const revisions = await bringUp(system, state.epoch, placement);
    state.fleet.placed(placement, revisions);
    state.setbacks.delete(key);
    log.debug("Runs a replica", { replica: placement.id, nodes: nodesOf(placement).join() });
    if (replaces) void retire(state, context, replaces);
  } catch (error) {
    const waitMs = Math.min(
      2 * (state.setbacks.get(key)?.waitMs ?? 0) || BACKOFF_MS.first,
      BACKOFF_MS.most,
    );
    const why = `Cannot run a replica of ${key}: ${(error as Error).message}`;
    state.setbacks.set(key, { until: clock.monotonic() + waitMs, waitMs, why });
  }
  state.adding.delete(placement.id);
  if (!state.closed) report(state);
  schedule(state, context, state.settleMs);
  tellSettled(state);
}

/** Stops parts of replicas that nobody accounts for: left over from a planner, or from nodes that were cut off. */
function sweep(
  { epoch }: PlannerState,
  { system, log }: PlannerContext,
  nodes: ReadonlyMap<string, NodeFacts>,
  accounted: readonly ReplicaPlacement[],
): void {
  const ids = new Set(accounted.map(({ id }) => id));
  for (const [node, { parts }] of nodes) {
    for (const replica of new Set(parts.map((part) => part.replica))) {
      if (ids.has(replica)) continue;
      log.debug("Stops what is left of a replica", { node, replica });
      void unhost(system, node, { epoch, replica });
    }
  }
}

function tellSettled(state: PlannerState): void {
  if (state.adding.size > 0) return;
  for (const tell of state.settled) tell();
  state.settled.clear();
}

function keyOf({ family, level }: Demand): string {
  return levelKey({ family, level: level.name });
}
