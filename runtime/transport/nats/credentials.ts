import {
  type Authenticator,
  nkeyAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/nats-core";
import { ActorError } from "../../errors.ts";
import type { NatsSettings } from "./options.ts";

/** The texts of the files that a connection by TLS needs. */
export interface TlsFiles {
  readonly serverName?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** What is read anew before each attempt to connect, so that files may be replaced meanwhile. */
export interface Credentials {
  readonly tls: TlsFiles;
  readonly authenticator: Authenticator;
}

const seedPattern = /\bS[A-Z][A-Z2-7]{56}\b/;

/** Reads the files of the options. Throws `ActorError` (`Denied`) that names the file only. */
export async function readCredentials(settings: NatsSettings): Promise<Credentials> {
  return {
    tls: await readTls(settings.tls ?? {}),
    authenticator: await readLogin(settings),
  };
}

async function readLogin({ user, password, nkeySeedFile }: NatsSettings): Promise<Authenticator> {
  if (nkeySeedFile !== undefined) return nkeyAuthenticator(await readSeed(nkeySeedFile));
  return user === undefined ? () => {} : usernamePasswordAuthenticator(user, password);
}

async function readTls(files: NonNullable<NatsSettings["tls"]>): Promise<TlsFiles> {
  const { caFile, certFile, keyFile, serverName } = files;
  return {
    ...(serverName === undefined ? {} : { serverName }),
    ...(caFile === undefined ? {} : { ca: await readText(caFile) }),
    ...(certFile === undefined ? {} : { cert: await readText(certFile) }),
    ...(keyFile === undefined ? {} : { key: await readText(keyFile) }),
  };
}

async function readSeed(file: string): Promise<Uint8Array> {
  const seed = seedPattern.exec(await readText(file))?.[0];
  if (seed === undefined) {
    throw new ActorError("Denied", `Cannot find an nkey seed in file: ${file}`);
  }
  return new TextEncoder().encode(seed);
}

async function readText(file: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.name : "unknown error";
    throw new ActorError("Denied", `Cannot read file for NATS (${why}): ${file}`);
  }
}
