import { HttpError } from "./errors.ts";
import { type ApiKey, isLoopback, type KeyRing } from "./keys/mod.ts";

/** Who may call. */
export interface GuardOptions {
  readonly keys: KeyRing | null;
  /** The address that the server is bound to. */
  readonly host: string;
  /** Web origins that may call from a browser. */
  readonly origins: readonly string[];
  /** More names that a loopback server answers to. */
  readonly hosts: readonly string[];
}

/** Decides who may call what. Its checks throw `HttpError`. */
export class Guard {
  readonly #options: GuardOptions;
  readonly #loopback: boolean;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#loopback = isLoopback(options.host);
  }

  /**
   * Refuses web pages that reach a loopback server by a name of their own (DNS rebinding) or from another
   * origin. Elsewhere keys protect, and any name may lead here.
   */
  checkSource(request: Request): void {
    const host = request.headers.get("host") ?? new URL(request.url).host;
    if (this.#loopback && !this.#knows(hostname(host))) {
      throw forbidden("Cannot answer for this host (add it to listen.hosts)", "host_not_allowed");
    }
    const origin = request.headers.get("origin");
    if (origin !== null && !this.#welcomes(origin, host)) {
      throw forbidden("Cannot answer this origin (add it to listen.origins)", "origin_not_allowed");
    }
  }

  /** Refuses calls of the API without a key, where there are keys. Answers whom the key stands for. */
  checkKey(request: Request): ApiKey | null {
    const { keys } = this.#options;
    if (keys === null) return null;
    const key = bearer(request);
    if (key === null) throw unauthorized("Cannot answer without an API key", "missing_api_key");
    const known = keys.find(key);
    if (known === null) throw unauthorized("Cannot accept the API key", "invalid_api_key");
    return known;
  }

  /** Refuses calls that change the cluster without a key that may; where there are no keys, anybody may. */
  checkAdmin(request: Request): void {
    if (this.checkKey(request)?.admin === false) {
      throw forbidden("Cannot do this with an API key that is not an admin's", "not_an_admin");
    }
  }

  /** Status page and metrics: open on loopback, elsewhere with a key, also as a browser's password. */
  checkWatcher(request: Request): void {
    const { keys } = this.#options;
    if (this.#loopback) return;
    const key = bearer(request) ?? password(request);
    if (key !== null && keys?.find(key)) return;
    throw unauthorized("Cannot show this without an API key", "missing_api_key", "Basic");
  }

  /** Headers that let a welcome origin read the answer. */
  corsHeaders(request: Request): Record<string, string> {
    const origin = request.headers.get("origin");
    if (origin === null || !this.#options.origins.includes(origin)) return {};
    return {
      "access-control-allow-origin": origin,
      "access-control-allow-headers": wanted(request),
      "access-control-allow-methods": "GET, POST, OPTIONS",
      "access-control-expose-headers":
        "x-request-id, x-tandem-level, x-tandem-confidence, x-tandem-path, retry-after, " +
        "x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, " +
        "x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens",
      "access-control-max-age": "600",
      vary: "origin",
    };
  }

  #knows(name: string): boolean {
    return isLoopback(name) || name.endsWith(".localhost") || name === this.#options.host ||
      this.#options.hosts.includes(name);
  }

  #welcomes(origin: string, host: string): boolean {
    if (this.#options.origins.includes(origin)) return true;
    return origin === `http://${host}` || origin === `https://${host}`;
  }
}

function wanted(request: Request): string {
  const headers = request.headers.get("access-control-request-headers") ?? "";
  return /^[\w-]+(, ?[\w-]+)*$/.test(headers) ? headers : "authorization, content-type";
}

function hostname(host: string): string {
  return host.replace(/:\d*$/, "").replace(/\.$/, "").toLowerCase();
}

function bearer(request: Request): string | null {
  return /^bearer +(\S+)\s*$/i.exec(request.headers.get("authorization") ?? "")?.[1] ?? null;
}

function password(request: Request): string | null {
  const encoded = /^basic +(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
  if (encoded === undefined) return null;
  try {
    return atob(encoded).replace(/^[^:]*:/, "");
  } catch {
    return null;
  }
}

function forbidden(message: string, code: string): HttpError {
  return new HttpError(message, { status: 403, code });
}

function unauthorized(message: string, code: string, scheme = "Bearer"): HttpError {
  const headers = { "www-authenticate": `${scheme} realm="Tandem"` };
  return new HttpError(message, { status: 401, code, headers });
}
