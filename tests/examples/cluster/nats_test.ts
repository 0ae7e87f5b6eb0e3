/** The ready-made configurations of nats-server: what each role can do, and what it must not. */
import assert from "node:assert/strict";
import { nkeys } from "@nats-io/nats-core";
import {
  type ActorRef,
  connectNats,
  createNatsStore,
  createSystem,
  defineActor,
  type NatsOptions,
  type NatsTransport,
  type System,
} from "../../../runtime/mod.ts";
import { rejectsWith, until } from "../../runtime/support/assert.ts";
import { silent } from "../../runtime/support/lanes.ts";
import { type NatsServer, startNats } from "../../support/nats.ts";

const folder = new URL("../../../examples/cluster/nats/", import.meta.url);
const roles = ["edge", "worker", "router"] as const;
type Role = typeof roles[number];

/** A server by one of the configurations, and the logins of its roles. */
interface Guarded extends AsyncDisposable {
  readonly server: NatsServer;
  readonly logins: Readonly<Record<Role, Partial<NatsOptions>>>;
}

const variants: Readonly<Record<string, () => Promise<Guarded>>> = { nkeys: startNkeys, mtls };

async function startNkeys(): Promise<Guarded> {
  const users = roles.map((role) => [role, nkeys.createUser()] as const);
  const variables = users.map(([role, user]) =>
    `TANDEM_${role.toUpperCase()}_NKEY: "${user.getPublicKey()}"`
  );
  const server = await startNats({
    config: `include "logins.conf"\n${await readConfig("nkeys.conf", "DIR")}`,
    files: {
      "logins.conf": variables.join("\n"),
      "permissions.conf": await readConfig("permissions.conf", "DIR"),
    },
  });
  const logins = Object.fromEntries(users.map(([role, user]) => {
    const nkeySeed = new TextDecoder().decode(user.getSeed());
    return [role, { servers: [server.url], nkeySeed }];
  }));
  return guarded(server, logins);
}

/** One of the files, with what it finds beside it in `dir`. */
async function readConfig(name: string, dir: string): Promise<string> {
  const text = await Deno.readTextFile(new URL(name, folder));
  return text.replaceAll('"./', `"${dir}/`);
}

async function mtls(): Promise<Guarded> {
  const dir = await Deno.makeTempDir();
  await makeCertificates(dir, ["server", ...roles]);
  const server = await startNats({
    config: await readConfig("mtls.conf", dir),
    files: { "permissions.conf": await readConfig("permissions.conf", "DIR") },
  });
  const logins = Object.fromEntries(roles.map((role) => [role, {
    servers: [server.url.replace("nats:", "tls:")],
    tls: {
      caFile: `${dir}/ca.pem`,
      certFile: `${dir}/${role}.pem`,
      keyFile: `${dir}/${role}.key`,
    },
  }]));
  return guarded(server, logins, () => Deno.remove(dir, { recursive: true }));
}

function guarded(
  server: NatsServer,
  logins: Record<string, Partial<NatsOptions>>,
  cleanUp: () => Promise<void> = () => Promise.resolve(),
): Guarded {
  return {
    server,
    logins: logins as Guarded["logins"],
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await cleanUp();
    },
  };
}

async function makeCertificates(dir: string, names: readonly string[]): Promise<void> {
  await openssl(
    dir,
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes " +
      "-keyout ca.key -out ca.pem -days 2 -subj /CN=tandem-ca",
  );
  await Deno.writeTextFile(`${dir}/san`, "subjectAltName=IP:127.0.0.1");
  for (const name of names) {
    await openssl(
      dir,
      "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes " +
        `-keyout ${name}.key -out ${name}.csr -subj /CN=${name}`,
    );
    await openssl(
      dir,
      `x509 -req -in ${name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial ` +
        `-out ${name}.pem -days 2 -extfile san`,
    );
  }
}

async function openssl(cwd: string, args: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", {
    args: args.split(" "),
    cwd,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`Cannot run openssl: ${new TextDecoder().decode(stderr)}`);
}

interface Echo {
  echo(text: string): string;
}

function echoOf(kind: string) {
  return defineActor<Echo, null>({
    kind,
    start: () => null,
    receive: { echo: (_, text) => text },
  });
}

const kinds = ["router", "desk", "node", "replica", "partition", "experts"].map(echoOf);

/** A node of a role with an actor of each kind, and what the server refused it. */
class Peer {
  readonly refused: string[] = [];

  constructor(readonly system: System, readonly transport: NatsTransport) {
    transport.watch((event) => {
      if (event.type === "refused") this.refused.push(`${event.operation} ${event.subject}`);
    });
  }

  static async join({ logins }: Guarded, role: Role, name = "a"): Promise<Peer> {
    const node = `${role}:${name}`;
    const connectTimeoutMs = 30_000;
    const options = { ...logins[role], name: node, connectTimeoutMs } as NatsOptions;
    const transport = await connectNats(options);
    const system = createSystem({ node, transport, log: silent, kinds, graceMs: 0 });
    const peer = new Peer(system, transport);
    for (const kind of kinds) system.spawn(kind, undefined, { id: "x" });
    await transport.flush();
    return peer;
  }

  ref(node: string, kind: string): ActorRef<Echo> {
    return this.system.ref(`${node}/main/${kind}/x`);
  }

  async ask(node: string, kind: string): Promise<string> {
    return await this.ref(node, kind).ask("echo", "hi", { deadlineMs: 30_000 });
  }

  /** Publishes raw bytes, and expects the server to refuse them. */
  async cannotPublish(subject: string): Promise<void> {
    this.transport.publish(subject, new Uint8Array(1));
    await until(() => this.refused.includes(`publish ${subject}`));
  }

  async cannotSubscribe(pattern: string): Promise<void> {
    this.transport.subscribe(pattern, () => assert.fail(`heard ${pattern}`));
    await until(() => this.refused.includes(`subscribe ${pattern}`));
  }

  async [Symbol.asyncDispose]() {
    await this.system.shutdown();
    await this.transport.close();
  }
}

for (const [variant, start] of Object.entries(variants)) {
  Deno.test(`${variant}.conf lets each role do its work and no more`, async (t) => {
    await using guarded = await start();
    await using edge = await Peer.join(guarded, "edge");
    await using router = await Peer.join(guarded, "router");
    await using worker = await Peer.join(guarded, "worker");
    await using other = await Peer.join(guarded, "worker", "b");

    await t.step("edges ask routers, routers everybody, workers each other", async () => {
      assert.equal(await edge.ask("router:a", "router"), "hi");
      assert.equal(await edge.ask("router:a", "desk"), "hi");
      for (const kind of ["replica", "node", "partition", "experts"]) {
        assert.equal(await router.ask("worker:a", kind), "hi");
      }
      assert.equal(await worker.ask("worker:b", "partition"), "hi");
      assert.equal(await other.ask("worker:a", "experts"), "hi");
      assert.equal(await worker.ask("router:a", "partition"), "hi");
      const spawned = await router.system.spawnOn<Echo>("worker:a/main", "replica", undefined);
      assert.equal(await spawned.ask("echo", "spawned"), "spawned");
    });

    await t.step("routers keep leases", async () => {
      const store = createNatsStore(router.transport, { bucket: "tandem" });
      const version = await store.compareAndSet("leases/planner", null, { epoch: 1 });
      assert.ok(await store.compareAndSet("leases/planner", version, { epoch: 2 }));
      assert.deepEqual((await store.get("leases/planner"))?.value, { epoch: 2 });
      assert.deepEqual(await store.list("leases/"), ["leases/planner"]);
    });

    await t.step("a worker asks no router, and no node to host or stop anything", async () => {
      for (const kind of ["router", "desk", "node", "replica"]) {
        await rejectsWith("Denied", worker.ask("router:a", kind));
      }
      await rejectsWith("Denied", worker.system.spawnOn("router:a/main", "replica", undefined));
      await rejectsWith("Denied", worker.system.spawnOn("worker:b/main", "replica", undefined));
      await rejectsWith("Denied", worker.ask("worker:b", "replica"));
    });

    await t.step("a worker cannot speak as a router, an edge, or to edges", async () => {
      await worker.cannotPublish("tandem.worker.b.router.a.main.node.x");
      await worker.cannotPublish("tandem.edge.a.router.a.main");
      await worker.cannotPublish("tandem.router.a.edge.a.main.router.x");
      await worker.cannotPublish("tandem.edge.a.worker.a.main");
      await worker.cannotPublish("tandem-cluster.router.a");
      await worker.cannotPublish("tandem-cluster.router.new");
      await worker.cannotPublish("tandem-cluster._.a");
    });

    await t.step("nobody reads what is sent to others", async () => {
      for (const pattern of [">", "tandem.>", "tandem.edge.>", "tandem.router.a.>", "_INBOX.>"]) {
        await worker.cannotSubscribe(pattern);
      }
      await edge.cannotSubscribe("tandem.router.*.>");
      await edge.cannotSubscribe("tandem.*.*.router.>");
      await router.cannotSubscribe("tandem.worker.*.>");
      await router.cannotSubscribe("tandem.edge.*.>");
    });

    await t.step("an edge asks nobody but routers", async () => {
      await rejectsWith("Denied", edge.ask("worker:a", "replica"));
      await rejectsWith("Denied", edge.ask("router:a", "node"));
      await rejectsWith("Denied", edge.system.spawnOn("router:a/main", "replica", undefined));
      await edge.cannotPublish("tandem-cluster.router.a");
      await edge.cannotPublish("tandem.worker.a.edge.a.main");
    });

    await t.step("only routers touch the store, and they cannot delete it", async () => {
      for (const peer of [worker, edge]) {
        await peer.cannotPublish("$KV.tandem.leases.planner");
        await peer.cannotPublish("$JS.API.STREAM.INFO.KV_tandem");
        await peer.cannotPublish("$JS.API.STREAM.DELETE.KV_tandem");
      }
      await router.cannotPublish("$JS.API.STREAM.DELETE.KV_tandem");
      await router.cannotPublish("$JS.API.STREAM.PURGE.KV_tandem");
      await router.cannotPublish("$JS.API.STREAM.CREATE.other");
    });

    await t.step("all of them still work afterwards", async () => {
      assert.equal(await edge.ask("router:a", "router"), "hi");
      assert.equal(await router.ask("worker:b", "replica"), "hi");
    });
  });

  Deno.test(`${variant}.conf lets nobody in without a login of its own`, async () => {
    await using guarded = await start();
    const { servers, tls } = guarded.logins.edge;
    const strangers: Partial<NatsOptions>[] = [
      { ...(tls?.caFile !== undefined && { tls: { caFile: tls.caFile } }) },
      { user: "CN=router", password: "x", ...(tls && { tls: { caFile: tls.caFile! } }) },
      ...(tls ? [] : [{ nkeySeed: new TextDecoder().decode(nkeys.createUser().getSeed()) }]),
    ];
    for (const stranger of strangers) {
      await assert.rejects(connectNats({ servers: servers!, connectTimeoutMs: 1000, ...stranger }));
    }
  });
}
