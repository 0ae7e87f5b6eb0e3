import {
  type Authenticator,
  credsAuthenticator,
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

async function readLogin(settings: NatsSettings): Promise<Authenticator> {
  const { user, password, nkeySeedFile, nkeySeed, credentials } = settings;
  if (nkeySeedFile !== undefined) {
    return nkeyAuthenticator(findSeed(await readText(nkeySeedFile), `file: ${nkeySeedFile}`));
  }
  if (nkeySeed !== undefined) return nkeyAuthenticator(findSeed(nkeySeed, "the option nkeySeed"));
  if (credentials !== undefined) return readJwt(credentials);
  return user === undefined ? () => {} : usernamePasswordAuthenticator(user, password);
}

function readJwt(credentials: string): Authenticator {
  try {
    return credsAuthenticator(new TextEncoder().encode(credentials));
  } catch {
    throw new ActorError("Denied", "Cannot find a JWT and its seed in the option credentials");
  }
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

function findSeed(text: string, where: string): Uint8Array {
  const seed = seedPattern.exec(text)?.[0];
  if (seed === undefined) throw new ActorError("Denied", `Cannot find an nkey seed in ${where}`);
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
