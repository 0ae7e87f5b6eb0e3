import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { ConfigError, parseServeArguments } from "../../../actors/config/mod.ts";
import { assertThrowsWith } from "./support.ts";

Deno.test("parseServeArguments() reads every option", () => {
  deepEqual(parseServeArguments([]), { kind: "serve", options: { models: [] } });
  const args = "--model a --model=b --family ours --host ::1 --port 0 --threads 4 --keys k.txt " +
    "--context 512 --kv-cache 64MiB --kv-dtype f32 --device gpu --gpu-memory 8GB --log-level debug";
  deepEqual(parseServeArguments(args.split(" ")), {
    kind: "serve",
    options: {
      models: ["a", "b"],
      family: "ours",
      host: "::1",
      port: 0,
      threads: 4,
      keys: "k.txt",
      context: 512,
      kvCache: 64 * 2 ** 20,
      kvDtype: "f32",
      device: "gpu",
      gpuMemory: 8e9,
      logLevel: "debug",
    },
  });
  const joining = "--nats nats://a:4222 --nats b --node n1 --nats-user u --nats-ca /ca.pem";
  deepEqual(parseServeArguments(joining.split(" ")), {
    kind: "serve",
    options: {
      models: [],
      cluster: { nats: ["nats://a:4222", "b"], node: "n1", user: "u", ca: "/ca.pem" },
    },
  });
  const unnamed = parseServeArguments(["--nats", "a"]);
  ok(unnamed.kind === "serve");
  match(unnamed.options.cluster!.node, /^[A-Za-z0-9_-]{1,64}$/);
  deepEqual(parseServeArguments(["--config", "t.json"]), {
    kind: "serve",
    options: { models: [], config: "t.json" },
  });
});

Deno.test("parseServeArguments() answers --help and --version", () => {
  const help = parseServeArguments(["-h"]);
  ok(help.kind === "help");
  for (const name of ["--config", "--model", "--kv-cache", "TANDEM_API_KEYS"]) {
    ok(help.text.includes(name), name);
  }
  ok(help.text.split("\n").every((line) => line.length <= 80));
  equal(parseServeArguments(["--version"]).kind, "version");
});

const wrong: readonly (readonly [string[], string])[] = [
  [["--modle", "a"], "Cannot use an unknown option (did you mean --model?): --modle"],
  [["--zzzzzzzzz"], "Cannot use an unknown option (see --help): --zzzzzzzzz"],
  [["--constructor"], "Cannot use an unknown option (see --help): --constructor"],
  [["-x"], "Cannot use an unknown option (see --help): -x"],
  [["--port"], "Cannot use an option without its value: --port"],
  [["--model", "--port", "1"], "Cannot use an option without its value: --model"],
  [["--port", "http"], "Cannot use --port, it must be a whole number from 0 to 65535: http"],
  [["--port=65536"], "Cannot use --port, it must be a whole number from 0 to 65535: 65536"],
  [["--threads", "0"], "Cannot use --threads, it must be a whole number from 1 to 1024: 0"],
  [["--context", "1.5"], "Cannot use --context, it must be a whole number of at least 1: 1.5"],
  [["--kv-cache", "0"], "Cannot use --kv-cache, it must be a size such as 4GiB or 512MB: 0"],
  [["--device", "tpu"], "Cannot use --device, it must be one of auto, cpu, gpu: tpu"],
  [["--gpu-memory", "much"], "Cannot use --gpu-memory, it must be a size such as"],
  [["--log-level", "loud"], "Cannot use --log-level, it must be one of debug, info"],
  [["--help=yes"], "Cannot give --help a value: yes"],
  [["models/a"], "Cannot use an argument that is no option"],
  [["--config", "a", "--model", "b"], "Cannot use --model together with --config: b"],
  [["--family", "f"], "Cannot use --family without --model: f"],
  [["--node", "a"], "Cannot use --node without --nats: a"],
  [["--nats-nkey", "f"], "Cannot use --nats-nkey without --nats: f"],
  [["--nats", "h", "--node", "a.b"], "Cannot use --node, it must be NAME or ROLE:NAME"],
];

Deno.test("parseServeArguments() refuses wrong arguments in one line", () => {
  for (const [args, text] of wrong) {
    assertThrowsWith(() => parseServeArguments(args), "Usage", text);
  }
});

Deno.test("parseServeArguments() throws nothing but ConfigError on random arguments", () => {
  const argument = fc.oneof(
    fc.string(),
    fc.string().map((text) => `--${text}`),
    fc.constant("--port"),
  );
  fc.assert(fc.property(fc.array(argument, { maxLength: 5 }), (args) => {
    try {
      parseServeArguments(args);
    } catch (error) {
      ok(error instanceof ConfigError && !error.message.includes("\n"));
    }
  }));
});
