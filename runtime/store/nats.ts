import { JetStreamApiError, StorageType } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { InvalidArgumentError, RequestError, TimeoutError } from "@nats-io/nats-core";
import { CodecError, decode, encode } from "../codec/mod.ts";
import { ActorError, type ActorErrorCode } from "../errors.ts";
import { type NatsTransport, openStoreLine, type StoreLine } from "../transport/mod.ts";
import { decodeKey, encodeKey } from "./key.ts";
import type { Store, StoreEntry } from "./store.ts";

/** Which bucket a store is, and how it is made if it is not there. */
export interface NatsStoreOptions {
  /** The bucket's name: letters, digits, `_` and `-`. */
  readonly bucket: string;
  /** `memory` is lost with the server, and made again; `file` by default. */
  readonly storage?: "file" | "memory";
  /** How long a value lasts after its last write, in milliseconds; for ever by default. */
  readonly ttlMs?: number;
  /** Servers that hold it; 1 by default. */
  readonly replicas?: number;
  /** The most bytes of all values together; 64 MiB by default. */
  readonly bytes?: number;
}

const wrongRevision = 10071;
const noStream = 10059;
const noRoom = new Set([10023, 10028, 10047, 10077, 10122]);

/**
 * A store in a JetStream bucket. The server answers a write before it is safely on its disk, so a value
 * may be lost or go back when the server's machine crashes. Operations throw `ActorError`: `NoRoute`
 * when they were not carried out, `Timeout` when that is not known, `Overloaded` when there is no room,
 * `TooLarge`.
 */
export function createNatsStore(transport: NatsTransport, options: NatsStoreOptions): Store {
  return new NatsStore(transport, options);
}

/** A bucket, and which one of all that ever had its name: revisions begin anew with each. */
interface Bucket {
  readonly kv: KV;
  readonly life: string;
}

class NatsStore implements Store {
  readonly #transport: NatsTransport;
  readonly #options: NatsStoreOptions;
  #opening: Promise<StoreLine> | null = null;
  #bucket: Promise<Bucket> | null = null;
  #cut = Promise.withResolvers<never>();

  constructor(transport: NatsTransport, options: NatsStoreOptions) {
    this.#transport = transport;
    this.#options = options;
  }

  get(key: string): Promise<StoreEntry | null> {
    return this.#do(async ({ kv, life }) => {
      const entry = await kv.get(encodeKey(key));
      if (entry?.operation !== "PUT") return null;
      return { value: decode(entry.value), version: `${life}-${entry.revision}` };
    });
  }

  set(key: string, value: unknown): Promise<string> {
    return this.#do(async ({ kv, life }) =>
      `${life}-${await kv.put(encodeKey(key), encode(value))}`
    );
  }

  compareAndSet(key: string, version: string | null, value: unknown): Promise<string | null> {
    return this.#do(async ({ kv, life }) => {
      const [writtenIn, revision] = version?.split("-") ?? [life];
      if (writtenIn !== life) return null;
      try {
        const written = revision === undefined
          ? await kv.create(encodeKey(key), encode(value))
          : await kv.update(encodeKey(key), encode(value), Number(revision));
        return `${life}-${written}`;
      } catch (thrown) {
        if (thrown instanceof JetStreamApiError && thrown.code === wrongRevision) return null;
        throw thrown;
      }
    });
  }

  delete(key: string): Promise<void> {
    return this.#do(({ kv }) => kv.delete(encodeKey(key)));
  }

  list(prefix: string): Promise<string[]> {
    const folder = prefix.slice(0, prefix.lastIndexOf("/"));
    const filter = folder === "" ? ">" : `${encodeKey(folder)}.>`;
    return this.#do(async ({ kv }) => {
      const keys = await Array.fromAsync(await kv.keys(filter), decodeKey);
      return keys.filter((key) => key.startsWith(prefix)).sort();
    });
  }

  /** Does something with the bucket, and once more if that was not there any more. */
  async #do<T>(work: (bucket: Bucket) => Promise<T>): Promise<T> {
    for (let isAgain = false;; isAgain = true) {
      const line = await this.#line();
      try {
        this.#bucket ??= this.#open(line);
        const done = this.#bucket.then(work);
        return await Promise.race([done, this.#cut.promise]);
      } catch (thrown) {
        const isGone = isMissing(thrown);
        if (isGone) this.#bucket = null;
        if (!isGone || isAgain) throw storeError(thrown);
      }
    }
  }

  /** The connection, made at the first need. Rejects with `ActorError` while there is none. */
  async #line(): Promise<StoreLine> {
    if (this.#opening === null && !this.#transport.isUp) throw unreachable();
    this.#opening ??= openStoreLine(this.#transport, (why) => this.#lose(why));
    const opening = this.#opening;
    opening.catch(() => {
      if (this.#opening === opening) this.#opening = null;
    });
    const line = await opening;
    if (!line.isUp) throw unreachable();
    return line;
  }

  async #open({ client }: StoreLine): Promise<Bucket> {
    const { bucket, storage = "file", ttlMs, replicas = 1, bytes = 64 << 20 } = this.#options;
    const kv = await new Kvm(client).create(bucket, {
      storage: storage === "file" ? StorageType.File : StorageType.Memory,
      replicas,
      max_bytes: bytes,
      // Reads by the leader see what was written before.
      allow_direct: false,
      ...(ttlMs === undefined ? {} : { ttl: ttlMs }),
    });
    const { created } = (await kv.status()).streamInfo;
    return { kv, life: created.replace(/\D/g, "") };
  }

  /** Fails what is on its way, which the client would let run into its timeout. */
  #lose(why: string): void {
    const { reject, promise } = this.#cut;
    promise.catch(() => {});
    this.#cut = Promise.withResolvers();
    this.#bucket = null;
    reject(new ActorError("Timeout", `Lost NATS before the store answered: ${why}`));
  }
}

function unreachable(): ActorError {
  return new ActorError("NoRoute", "Cannot reach the store: NATS is down");
}

/** Whether the bucket was not there, and so nothing done: nobody listened to the request. */
function isMissing(thrown: unknown): boolean {
  if (thrown instanceof JetStreamApiError) return thrown.code === noStream;
  const cause = thrown instanceof Error ? thrown.cause : null;
  return cause instanceof RequestError && cause.isNoResponders();
}

function storeError(thrown: unknown): ActorError {
  if (thrown instanceof ActorError) return thrown;
  const why = thrown instanceof Error ? thrown.message : String(thrown);
  const options = { cause: thrown };
  const code = codeOf(thrown);
  return new ActorError(code, `Cannot use the store: ${why}`, options);
}

function codeOf(thrown: unknown): ActorErrorCode {
  if (thrown instanceof TimeoutError) return "Timeout";
  if (thrown instanceof JetStreamApiError && noRoom.has(thrown.code)) return "Overloaded";
  if (thrown instanceof InvalidArgumentError) return "TooLarge";
  if (thrown instanceof CodecError) return thrown.code === "TooLarge" ? "TooLarge" : "AppError";
  return isMissing(thrown) ? "NoRoute" : "AppError";
}
