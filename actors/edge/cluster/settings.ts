import { z } from "zod";
import type { LogLevel, NatsOptions } from "../../../runtime/mod.ts";
import { ConfigError, firstIssue } from "../../config/mod.ts";

/** What an edge of its own is told by its environment. */
export interface EdgeSettings {
  /** How to reach the cluster. */
  readonly nats: NatsOptions;
  /** This edge's name in the cluster; absent = a random one. */
  readonly node?: string;
  /** Where API keys are found. */
  readonly keys: { readonly file?: string; readonly list?: string };
  /** Web origins that may call from a browser. */
  readonly origins: readonly string[];
  /** How much is logged, and how. */
  readonly log: { readonly level: LogLevel; readonly format: "json" | "pretty" };
}

const text = z.string().min(1);
const list = text.transform((value) => value.split(",").map((item) => item.trim()));

const schema = z.object({
  TANDEM_NATS_URL: list,
  TANDEM_NATS_USER: text.exactOptional(),
  TANDEM_NATS_PASSWORD: text.exactOptional(),
  TANDEM_NATS_NKEY: text.exactOptional(),
  TANDEM_NATS_NKEY_FILE: text.exactOptional(),
  TANDEM_NATS_CREDS: text.exactOptional(),
  TANDEM_NATS_CA_FILE: text.exactOptional(),
  TANDEM_NATS_CERT_FILE: text.exactOptional(),
  TANDEM_NATS_KEY_FILE: text.exactOptional(),
  TANDEM_NATS_INBOX: text.exactOptional(),
  TANDEM_NODE: z.string().regex(/^([A-Za-z][A-Za-z0-9-]{0,31}:)?[A-Za-z0-9_-]{1,64}$/, {
    error: "must be NAME or ROLE:NAME, of letters, digits, dashes and underscores",
  }).exactOptional(),
  TANDEM_API_KEYS: text.exactOptional(),
  TANDEM_KEYS_FILE: text.exactOptional(),
  TANDEM_ORIGINS: list.default([]),
  TANDEM_LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).default("info"),
  TANDEM_LOG_FORMAT: z.enum(["json", "pretty"]).default("json"),
});

type Variables = z.output<typeof schema>;

/** Reads the settings of variables. Throws `ConfigError` that names the variable, never its value. */
export function readSettings(variable: (name: string) => string | undefined): EdgeSettings {
  const given = Object.keys(schema.shape).flatMap((name) => {
    const value = variable(name);
    return value === undefined || value === "" ? [] : [[name, value]];
  });
  const variables = Object.fromEntries(given);
  const result = schema.safeParse(variables);
  if (!result.success) {
    const { path, rule } = firstIssue(result.error, variables);
    throw new ConfigError("Invalid", `Cannot start an edge, ${path.join(".")} ${rule}`);
  }
  return settingsOf(result.data);
}

function settingsOf(v: Variables): EdgeSettings {
  return {
    nats: natsOf(v),
    ...present({ node: v.TANDEM_NODE }),
    keys: present({ file: v.TANDEM_KEYS_FILE, list: v.TANDEM_API_KEYS }),
    origins: v.TANDEM_ORIGINS,
    log: { level: v.TANDEM_LOG_LEVEL, format: v.TANDEM_LOG_FORMAT },
  };
}

function natsOf(v: Variables): NatsOptions {
  const tls = present({
    caFile: v.TANDEM_NATS_CA_FILE,
    certFile: v.TANDEM_NATS_CERT_FILE,
    keyFile: v.TANDEM_NATS_KEY_FILE,
  });
  return {
    servers: v.TANDEM_NATS_URL,
    connectTimeoutMs: 3000,
    drainMs: 500,
    ...present({
      user: v.TANDEM_NATS_USER,
      password: v.TANDEM_NATS_PASSWORD,
      nkeySeed: v.TANDEM_NATS_NKEY,
      nkeySeedFile: v.TANDEM_NATS_NKEY_FILE,
      credentials: v.TANDEM_NATS_CREDS,
      inboxPrefix: v.TANDEM_NATS_INBOX,
    }),
    ...(Object.keys(tls).length > 0 && { tls }),
  };
}

type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function present<T extends object>(values: T): Present<T> {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Present<T>;
}
