import assert from "node:assert/strict";
import { nkeys } from "@nats-io/nats-core";
import { connectNats, type NatsOptions } from "../../runtime/mod.ts";
import { type NatsServer, startNats } from "../support/nats.ts";
import { rejectsWith, until } from "./support/assert.ts";

const tls = new URL("../support/tls/", import.meta.url).pathname;
const quick = { connectTimeoutMs: 3000, reconnectMs: [5, 20] } as const;
const secret = "c0rrect-horse";

const passwords = `authorization { users: [{ user: "w", password: "${secret}" }] }`;
const serverTls = `cert_file: "${tls}server.pem", key_file: "${tls}server.key"`;

/** What a user by nkey needs: the server's configuration and the seed, as files have it. */
function createNkey(): { config: string; seed: string } {
  const user = nkeys.createUser();
  return {
    config: `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`,
    seed: `# worker\n${new TextDecoder().decode(user.getSeed())}\n`,
  };
}

async function connects(options: NatsOptions): Promise<void> {
  const transport = await connectNats({ ...quick, ...options });
  await transport.flush();
  await transport.close();
}

Deno.test("connectNats() logs in with user and password, and says so when it may not", async () => {
  await using server = await startNats({ config: passwords });
  const servers = [server.url];
  await connects({ servers, user: "w", password: secret });
  for (const login of [{}, { user: "w", password: "wrong-battery" }]) {
    const error = await rejectsWith("Denied", connectNats({ servers, ...quick, ...login }));
    assert.match(error.message, /^Cannot log in to NATS \(Authorization Violation\): nats:/);
    assert.doesNotMatch(`${error.stack} ${error.message}`, /battery/);
  }
});

Deno.test("connectNats() logs in with the seed of a file, which may be replaced", async () => {
  const [old, next] = [createNkey(), createNkey()];
  await using server = await startNats({ config: old.config, files: { seed: old.seed } });
  const nkeySeedFile = `${server.dir}/seed`;
  const transport = await connectNats({ servers: [server.url], nkeySeedFile, ...quick });
  const events: string[] = [];
  transport.watch((event) => events.push(event.type === "failed" ? event.error.name : event.type));
  await server.kill();
  await Deno.writeTextFile(`${server.dir}/server.conf`, `port: ${server.port}\n${next.config}`);
  await server.restart();
  await until(() => events.includes("AuthorizationError"));
  await Deno.writeTextFile(nkeySeedFile, next.seed);
  await until(() => transport.isUp);
  await transport.close();

  await Deno.writeTextFile(nkeySeedFile, "SUNOSEED");
  const servers = [server.url];
  const error = await rejectsWith("Denied", connectNats({ servers, nkeySeedFile, ...quick }));
  assert.equal(error.message, `Cannot find an nkey seed in file: ${nkeySeedFile}`);
  const missing = { servers, nkeySeedFile: `${nkeySeedFile}.not`, ...quick };
  assert.match((await rejectsWith("Denied", connectNats(missing))).message, /NotFound/);
});

Deno.test("connectNats() speaks TLS only with whom it trusts", async () => {
  await using server = await startNats({ config: `tls { ${serverTls} }` });
  await using plain = await startNats();
  const caFile = `${tls}ca.pem`;
  const at = ({ port }: NatsServer, host = "127.0.0.1") => [`tls://${host}:${port}`];
  await connects({ servers: at(server), tls: { caFile } });
  await connects({ servers: at(server, "localhost"), tls: { caFile } });
  const cases: [NatsOptions, RegExp][] = [
    [{ servers: at(server) }, /certificate|issuer|self.signed/i],
    [{ servers: at(server), tls: { caFile, serverName: "other" } }, /altnames/],
    [{ servers: at(plain), tls: { caFile } }, /Server offers no TLS/],
    [{ servers: [server.url] }, /Secure Connection|closed the connection|no answer/],
  ];
  for (const [options, message] of cases) {
    const error = await connectNats({ ...quick, ...options }).then(() => null, (error) => error);
    assert.match(error.message, message);
    assert.match(error.code, /^(NoRoute|Denied)$/);
  }
});

Deno.test("connectNats() shows a certificate to a server that wants one", async () => {
  const config = `tls { ${serverTls}, ca_file: "${tls}ca.pem", verify_and_map: true }
    authorization { users: [{ user: "client" }] }`;
  await using server = await startNats({ config });
  const servers = [`tls://127.0.0.1:${server.port}`];
  const caFile = `${tls}ca.pem`;
  const client = { caFile, certFile: `${tls}client.pem`, keyFile: `${tls}client.key` };
  await connects({ servers, tls: client });
  const error = await rejectsWith("NoRoute", connectNats({ servers, tls: { caFile }, ...quick }));
  assert.match(error.message, /does it want a client certificate/);
});

Deno.test("connectNats() with patience waits for a server, says why, and can be stopped", async () => {
  await using server = await startNats({ config: passwords });
  await server.kill();
  const told: string[] = [];
  const stop = new AbortController();
  const patience = { told: ({ message }: Error) => void told.push(message), signal: stop.signal };
  const options = { servers: [server.url], user: "w", password: secret, ...quick };
  const waiting = connectNats(options, { patience });
  await until(() => told.length > 0);
  await server.restart();
  await (await waiting).close();
  assert.deepEqual(told.length, 1);
  assert.match(told[0]!, /^Cannot connect to NATS \(.*refused.*\): nats:/);

  const wrong = { ...options, password: "wrong-battery" };
  await rejectsWith("Denied", connectNats(wrong, { patience }));
  await server.kill();
  const endless = connectNats(options, { patience });
  await until(() => told.length > 1);
  stop.abort(new Error("Enough"));
  await assert.rejects(endless, { message: "Enough" });
});

Deno.test("connectNats() says what is wrong with its options, and tells no secret", async () => {
  const servers = ["nats://127.0.0.1:1"];
  const cases: [unknown, RegExp][] = [
    [{}, /servers/],
    [{ servers: [] }, /servers/],
    [{ servers: ["http://x"] }, /expected a server such as nats:\/\/host:4222: http:\/\/x/],
    [{ servers: [`nats://u:${secret}@x`] }, /user and password beside the URL/],
    [{ servers: [`htp://u:${secret}@x`] }, /expected a server/],
    [{ servers: ["nats://a", "ws://b"] }, /cannot be mixed/],
    [{ servers: ["ws://a"], tls: {} }, /DENO_CERT/],
    [{ servers, user: "u" }, /go together/],
    [{ servers, password: secret }, /go together/],
    [{ servers, user: "u", password: secret, nkeySeedFile: "f" }, /exclude each other/],
    [{ servers, tls: { certFile: "f" } }, /go together/],
    [{ servers, inboxPrefix: "a.*" }, /inboxPrefix/],
    [{ servers, pingIntervalMs: 0 }, /pingIntervalMs/],
    [{ servers, passwort: secret }, /passwort/],
  ];
  for (const [options, message] of cases) {
    const error = await rejectsWith("Denied", connectNats(options as NatsOptions));
    assert.match(error.message, message);
    assert.ok(!error.message.includes(secret), error.message);
  }
});

Deno.test("connectNats() says where nobody listens", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const servers = [`127.0.0.1:${port}`];
  const error = await rejectsWith("NoRoute", connectNats({ servers, ...quick }));
  assert.match(error.message, new RegExp(`refused.*: nats://127.0.0.1:${port}$`, "is"));
});
