import { isDeepStrictEqual } from "node:util";
import {
  ActorError,
  type ActorRef,
  Directory,
  type Lease,
  type Member,
  type MemberEvent,
  Membership,
  type Offer,
  type Singleton,
  sleep,
  standFor,
  type System,
  type Transport,
} from "../../runtime/mod.ts";
import { deskKind, type DeskProtocol } from "../desk_protocol.ts";
import { memberDesks, memberRouters, type RouterDirectory } from "../edge/mod.ts";
import {
  type ClusterStatus,
  type FamilyFacts,
  mayLead,
  nodeAddress,
  type NodeFacts,
  nodeId,
  type NodeProtocol,
  type PartFacts,
} from "../node_protocol.ts";
import {
  factsOf,
  nodesOf,
  Planner,
  plannerKind,
  type PlannerNews,
  type PlannerProtocol,
  type PlannerStatus,
} from "../planner/mod.ts";
import type { RouterProtocol } from "../protocol.ts";
import type { LevelModel, Outlook } from "../router/mod.ts";
import { protocolRange, version } from "../version.ts";
import { Desk } from "./desk.ts";
import type { Devices } from "./devices.ts";
import { FamilyBook } from "./family_book.ts";
import { Hosting } from "./hosting.ts";
import { Node } from "./node_actor.ts";
import { plannerOffer, replicaOffer, routerOffer } from "./offers.ts";
import { RouterHost } from "./router_host.ts";
import type { Shelf } from "./shelf.ts";

/** What takes part in a cluster. */
export interface ParticipantOptions {
  /** The node's system. */
  readonly system: System;
  /** The models whose files the node has. */
  readonly shelf: Shelf;
  /** What it computes with. */
  readonly devices: Devices;
  /** The way to the others; absent = the node is alone. */
  readonly transport?: Transport;
  /** The build that it announces. */
  readonly version?: string;
}

/** How long a joining node listens before it acts on what it knows. */
const HELLO_MS = 700;

/** How long the planner of a cluster waits for changes that come together. */
const SETTLE_MS = 700;

/** How long the first plan of a lone node may take: models are loaded meanwhile. */
const FIRST_PLAN_MS = 24 * 60 * 60_000;

/**
 * A node's part in its cluster: announces it, hosts what the planner orders, stands for being the planner, and
 * runs routers of the families whose files it has. A lone node is a cluster of one.
 */
export class Participant {
  /** Resolves, with the reason, when another process has taken the node's name. */
  readonly replaced: Promise<string>;
  readonly #options: ParticipantOptions;
  readonly #book = new FamilyBook();
  readonly #hosting: Hosting;
  readonly #membership: Membership;
  readonly #offered: Directory;
  readonly #routerHost: RouterHost;
  readonly #isLeading = Promise.withResolvers<void>();
  #planner: Singleton | undefined;
  #epoch: number | null = null;
  /** Levels that are on their way, by the announcement that says so. */
  readonly #coming = new WeakMap<Member, ReadonlySet<string> | null>();
  #news: PlannerNews = { problems: [] };
  /** What keeps the node from standing for being the planner. */
  #trouble: string | null = null;
  /** Whether problems go to the log: those of a lone node's start are its caller's to tell. */
  #isTold: boolean;
  #learning: Promise<void> = Promise.resolve();
  #isLeaving = false;

  /** Begins to announce the node, and to listen. */
  constructor(options: ParticipantOptions) {
    const { system, shelf, transport } = options;
    this.#isTold = transport !== undefined;
    this.#options = options;
    const replaced = Promise.withResolvers<string>();
    this.replaced = replaced.promise;
    this.#hosting = new Hosting(() => this.#membership.announce());
    this.#membership = new Membership({
      system,
      ...(transport && { transport }),
      version: options.version ?? version,
      protocol: protocolRange,
      describe: () => ({ offers: this.#offers(), facts: this.#facts() }),
    });
    this.#offered = new Directory(this.#membership);
    this.#routerHost = new RouterHost({
      ...{ system, directory: this.#offered, shelf },
      outlook: (key) => this.#outlook(key),
    });
    this.#membership.on((event) => {
      if (event.type === "replaced") replaced.resolve(event.why);
      else this.#follow(event);
    });
  }

  /** Routers that run here, by the names of their families. */
  get routers(): ReadonlyMap<string, ActorRef<RouterProtocol>> {
    return this.#routerHost.routers;
  }

  /** Models of the families that are routed here. */
  get models(): ReadonlyMap<string, readonly LevelModel[]> {
    return this.#routerHost.models;
  }

  /** The routers of all nodes. */
  get directory(): RouterDirectory {
    return memberRouters(this.#membership, this.#options.system);
  }

  /** The desks of the cluster, this node's own first. */
  findDesks(): readonly ActorRef<DeskProtocol>[] {
    return memberDesks(this.#membership, this.#options.system);
  }

  /** Takes part, with the families that the node brings. Throws `Denied` when all others refuse it. */
  async join(families: readonly FamilyFacts[]): Promise<void> {
    const { system, shelf, devices, transport } = this.#options;
    this.#book.learn(families);
    const status = () => this.status();
    system.spawn(Node, { hosting: this.#hosting, shelf, devices, status }, { id: nodeId });
    const removeFamily = (name: string) => this.#removeFamily(name);
    if (mayLead(system.node)) system.spawn(Desk, { status, removeFamily }, { id: deskKind });
    if (transport) await sleep(system.clock, HELLO_MS);
    this.#checkWelcome();
    await this.#refresh();
    if (!mayLead(system.node)) return;
    this.#planner = standFor(system, {
      key: "planner",
      definition: Planner,
      id: plannerKind,
      args: ({ epoch }) => ({
        epoch,
        membership: this.#membership,
        settleMs: transport ? SETTLE_MS : 0,
        report: (news) => this.#report(news),
      }),
      floor: () => this.#hosting.fence.epoch,
      trouble: (why) => {
        this.#trouble = why;
        this.#membership.announce();
      },
      changed: (lease) => this.#lead(lease),
    });
  }

  /** What the planner says once it has carried out its first plan; for a lone node, which is its own planner. */
  async planned(): Promise<PlannerStatus> {
    const { system } = this.#options;
    await this.#isLeading.promise;
    const planner = system.ref<PlannerProtocol>(
      `${system.node}/main/${plannerKind}/${plannerKind}`,
    );
    const status = await planner.ask("settle", undefined, { deadlineMs: FIRST_PLAN_MS });
    this.#isTold = true;
    return status;
  }

  /** Tells the others at once what has changed about the node. */
  announce(): void {
    this.#membership.announce();
  }

  /** The cluster as this node sees it. */
  status(): ClusterStatus {
    const leader = this.#leader();
    return {
      node: this.#membership.node,
      leader: leader ? nodeOf(leader) : null,
      epoch: Math.max(this.#hosting.fence.epoch, leader?.epoch ?? 0),
      nodes: this.#membership.members.flatMap((member) => {
        const facts = factsOf(member);
        return facts ? [{ node: member.node, version: member.version, ...facts }] : [];
      }),
      refused: Object.fromEntries(this.#membership.refused),
    };
  }

  /** Takes no more work, and waits until all that the node hosts has been moved; at most `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    const { system } = this.#options;
    if (this.#membership.members.length === 1) return;
    const node = system.ref<NodeProtocol>(nodeAddress(system.node));
    await node.ask("drain", undefined, { deadlineMs: graceMs }).catch((error: Error) => {
      system.log.warn("Leaves before all its work was moved", { error: error.message });
    });
  }

  /** Takes part no more, with a goodbye. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    this.#routerHost.close();
    await this.#planner?.close();
    this.#membership.leave();
  }

  // What it announces.

  #offers(): Offer[] {
    const { system: { node } } = this.#options;
    const routers = [...this.#routerHost?.routers ?? []].map(([family, { address }]) => ({
      name: routerOffer(family),
      address,
    }));
    const planner = `${node}/main/${plannerKind}/${plannerKind}`;
    return [
      ...(mayLead(node)
        ? [{ name: deskKind, address: `${node}/main/${deskKind}/${deskKind}` }]
        : []),
      ...(this.#isStandIn() ? [] : routers),
      ...this.#hosting.parts.flatMap((part) => this.#replicaOffers(part)),
      ...(this.#epoch === null ? [] : [{
        name: plannerOffer,
        address: planner,
        epoch: this.#epoch,
      }]),
    ];
  }

  /** Whether its routers should get no more requests: it drains, and others route the same. */
  #isStandIn(): boolean {
    if (!this.#hosting.draining) return false;
    return [...this.routers.keys()].every((family) =>
      this.#offered.find(routerOffer(family)).some((offer) =>
        nodeOf(offer) !== this.#membership.node
      )
    );
  }

  /** A replica is of use only while all nodes that it lies on are there. */
  #replicaOffers({ address, placement }: PartFacts): Offer[] {
    const isWhole = placement && nodesOf(placement).every((node) => this.#membership.member(node));
    if (!isWhole || this.#hosting.isRetiring(address)) return [];
    const { family, level, model } = placement;
    const facts = { draining: this.#hosting.draining };
    return [{ name: replicaOffer(family, level, model), address, facts }];
  }

  #facts(): NodeFacts {
    const { devices: { facts: devices }, shelf, system } = this.#options;
    const { parts, revision, draining } = this.#hosting;
    const models = shelf.all.map(({ facts }) => facts);
    const facts = { devices, models, families: this.#book.all, parts, revision, draining };
    const problems = [...this.#news.problems];
    if (this.#trouble !== null) problems.unshift(`${system.node} cannot plan: ${this.#trouble}`);
    return {
      ...facts,
      ...this.#news.coming && { coming: this.#news.coming.slice(0, 1024) },
      ...problems.length > 0 &&
        { problems: problems.map((line) => line.slice(0, 1000)).slice(0, 64) },
    };
  }

  // What it hears.

  #follow(event: Exclude<MemberEvent, { readonly type: "replaced" }>): void {
    this.#hosting.fence.raise(this.#leader()?.epoch ?? 0);
    if (event.type === "joined" || event.type === "left") this.#membership.announce();
    if (event.type !== "joined" && event.type !== "changed") return;
    const { node } = event.member;
    const facts = node !== this.#membership.node && mayLead(node) ? factsOf(event.member) : null;
    if (facts && this.#book.learn(facts.families)) this.#takeUpNews();
  }

  /** Serves a family no more, and lets all others know. False when there is none of the name. */
  #removeFamily(name: string): boolean {
    const isRemoved = this.#book.remove(name, this.#options.system.clock.now());
    if (isRemoved) this.#takeUpNews();
    return isRemoved;
  }

  #takeUpNews(): void {
    this.#refresh().catch((error) => {
      if (!this.#isLeaving) this.#options.system.log.error("Cannot take up a family", { error });
    });
  }

  /** Takes up what is known of families, after what is being taken up. */
  #refresh(): Promise<void> {
    const taken = this.#learning.then(() => this.#takeUp());
    this.#learning = taken.catch(() => {});
    return taken;
  }

  /** Looks for the files of the families, and routes those that are here. */
  async #takeUp(): Promise<void> {
    const { shelf, system } = this.#options;
    const levels = this.#book.served.flatMap((family) => family.levels);
    for (const { config } of levels) {
      await shelf.add(config.model).catch((error: Error) => {
        system.log.info("Has no use of a model", { model: config.model, why: error.message });
      });
    }
    if (mayLead(system.node)) await this.#routerHost.serve(this.#book.served);
    this.#membership.announce();
  }

  /** The offer of the planner that decides. */
  #leader(): Offer | undefined {
    return this.#offered.find(plannerOffer).filter((offer) => mayLead(nodeOf(offer)))
      .reduce<Offer | undefined>(
        (best, offer) => (offer.epoch ?? 0) > (best?.epoch ?? 0) ? offer : best,
        undefined,
      );
  }

  /** Whether the planner brings up a replica of a level. */
  #outlook(key: string): Outlook {
    const leader = this.#leader();
    const member = leader && this.#membership.member(nodeOf(leader));
    const coming = member && this.#comingOf(member);
    if (!coming) return "unknown";
    return coming.has(key) ? "coming" : "none";
  }

  /** Every request that waits asks for it, and often. */
  #comingOf(member: Member): ReadonlySet<string> | null {
    const known = this.#coming.get(member);
    if (known !== undefined) return known;
    const said = factsOf(member)?.coming;
    const coming = said ? new Set(said) : null;
    this.#coming.set(member, coming);
    return coming;
  }

  #checkWelcome(): void {
    const { members, refused } = this.#membership;
    const [first] = refused;
    if (members.length > 1 || !first) return;
    const [node, why] = first;
    throw new ActorError(
      "Denied",
      `Cannot join a cluster that cannot be understood, ${why}: ${node}`,
    );
  }

  /** How things stand, while this node has the planner: for the log, and for all to see. */
  #report(news: PlannerNews): void {
    const { log } = this.#options.system;
    const known = this.#news;
    if (isDeepStrictEqual(news, known)) return;
    const problems = news.problems.filter((problem) => !known.problems.includes(problem));
    if (this.#isTold) { for (const problem of problems) log.warn(problem); }
    this.#news = news;
    this.#membership.announce();
  }

  #lead(lease: Lease | null): void {
    this.#epoch = lease?.epoch ?? null;
    if (!lease) this.#news = { problems: [] };
    if (lease) this.#isLeading.resolve();
    this.#membership.announce();
  }
}

function nodeOf({ address }: Offer): string {
  return address.slice(0, address.indexOf("/"));
}
