import type { Clock, Logger, Tracer } from "../../runtime/mod.ts";
import type { GenerateRequest } from "../protocol.ts";
import { eventStream, type Form, type Frame, gather, type Indexed } from "./answer/mod.ts";
import { routeHeaders, run, writeAnswers, writeStream } from "./answer/mod.ts";
import { readJson } from "./body.ts";
import type { Catalog, Target } from "./catalog.ts";
import { clientClosed, HttpError, toHttpError } from "./errors.ts";
import type { Generate } from "./generation/mod.ts";
import type { ApiKey, Permit, Quotas } from "./keys/mod.ts";
import type { EdgeMetrics, RequestMeter } from "./metrics.ts";
import { type Job, shiftSeed } from "./request/mod.ts";
import type { Admission, Work } from "./work.ts";

/** What answering needs. */
export interface CompletionsOptions {
  readonly admission: Admission;
  readonly bodyBytes: number;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly generate: Generate;
  readonly log: Logger;
  readonly metrics: EdgeMetrics;
  readonly quotas: Quotas;
  readonly tracer: Tracer | undefined;
}

/** One endpoint: how it reads and how it writes. */
export interface Endpoint {
  readonly form: Form;
  /** Throws `HttpError` 400. */
  parse(body: unknown): Job;
}

/** Who asks. */
export interface Caller {
  /** Names the request in logs and at the router. */
  readonly id: string;
  /** `null` = no keys are needed. */
  readonly key: ApiKey | null;
}

/** One request being answered. */
interface Exchange {
  readonly id: string;
  readonly meter: RequestMeter;
  readonly permit: Permit;
  readonly trace: string | undefined;
  readonly work: Work;
}

const streamHeaders = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  // Tells proxies such as nginx not to gather the events.
  "x-accel-buffering": "no",
};

/** Answers completion requests, from body to last byte. */
export class Completions {
  readonly #options: CompletionsOptions;

  constructor(options: CompletionsOptions) {
    this.#options = options;
  }

  /** Answers a request; every failure is an answer too. */
  async answer(request: Request, endpoint: Endpoint, { id, key }: Caller): Promise<Response> {
    const { admission, metrics, quotas, tracer } = this.#options;
    const meter = metrics.begin();
    const trace = tracer?.current();
    let work: Work | null = null;
    try {
      work = admission.enter(request.signal);
      const permit = quotas.enter(key);
      work.onFinish(permit.leave);
      return await this.#answer(request, endpoint, { id, meter, permit, trace, work });
    } catch (thrown) {
      work?.finish();
      const error = this.#close({ id, meter, work }, thrown);
      return error.response();
    }
  }

  async #answer(request: Request, endpoint: Endpoint, exchange: Exchange): Promise<Response> {
    const { bodyBytes, catalog, clock } = this.#options;
    const { id, meter, work } = exchange;
    const job = endpoint.parse(await readJson(request, bodyBytes, work.signal));
    const target = await catalog.resolve(job.model);
    meter.resolved(job.model);
    const frame = frameOf(endpoint.form, job, target, { id, now: clock.now() });
    const requests = requestsOf(job, target, id);
    const events = this.#run(target, requests, exchange);
    if (job.stream) return await this.#stream(frame, events, exchange);
    const answers = await gather(events, requests.length);
    work.finish();
    this.#log(id, 200, meter);
    return Response.json(writeAnswers(frame, answers), {
      headers: routeHeaders(answers[0]!.end.route),
    });
  }

  async #stream(
    frame: Frame,
    events: AsyncIterable<Indexed>,
    exchange: Exchange,
  ): Promise<Response> {
    const { id, meter, work } = exchange;
    const source = writeStream(frame, events);
    // Until the first event a failure can still be told by the status.
    const first = await source.next();
    const body = eventStream(first, source, {
      signal: work.signal,
      fail: (reason) => JSON.stringify(toHttpError(failure(work, reason)).body()),
      ended: (how, reason) => {
        if (how === "failed") this.#close(exchange, reason);
        else this.#log(id, how === "done" ? 200 : clientClosed, meter);
        if (how !== "done") work.cancel();
        work.finish();
      },
    });
    return new Response(body, { headers: streamHeaders });
  }

  async *#run(
    { family }: Target,
    requests: readonly GenerateRequest[],
    { work, meter, permit, trace }: Exchange,
  ): AsyncGenerator<Indexed> {
    const generate = this.#options.generate.bind(null, family);
    const { deadline, signal } = work;
    const { spend } = permit;
    for await (const item of run(generate, requests, { deadline, signal, spend, trace })) {
      meter.saw(item.index, item.event);
      yield item;
    }
  }

  #close(
    exchange: Pick<Exchange, "id" | "meter"> & { work: Work | null },
    thrown: unknown,
  ): HttpError {
    const cause = failure(exchange.work, thrown);
    const error = toHttpError(cause);
    this.#log(exchange.id, error.status, exchange.meter, cause);
    return error;
  }

  #log(id: string, status: number, meter: RequestMeter, error?: unknown): void {
    const ms = Math.round(meter.close(status));
    const fields = { id, model: meter.model, status, ms };
    if (status >= 500) this.#options.log.warn("Request failed", { ...fields, error });
    else this.#options.log.info("Request", fields);
  }
}

/** Why it failed: an abort says more than the error it causes. */
function failure(work: Work | null, thrown: unknown): unknown {
  return work?.signal.aborted && !(thrown instanceof HttpError) ? work.signal.reason : thrown;
}

function frameOf(
  form: Form,
  job: Job,
  { model, fingerprint }: Target,
  { id, now }: { id: string; now: number },
): Frame {
  const { n, echoes, includeUsage } = job;
  return {
    form,
    id: `${form.prefix}-${id}`,
    created: Math.floor(now / 1000),
    model,
    fingerprint,
    n,
    echoes,
    logprobs: job.logprobs !== undefined,
    includeUsage,
  };
}

function requestsOf(job: Job, { level }: Target, id: string): readonly GenerateRequest[] {
  const { maxTokens, stop, sampling, logprobs, n } = job;
  return job.prompts.flatMap((prompt, p) =>
    Array.from({ length: n }, (_, i): GenerateRequest => ({
      id: `${id}-${p * n + i}`,
      ...(level === undefined ? {} : { level }),
      prompt,
      ...(maxTokens === undefined ? {} : { maxTokens }),
      stop,
      sampling: sampling.seed === undefined
        ? sampling
        : { ...sampling, seed: shiftSeed(sampling.seed, i) },
      ...(logprobs === undefined ? {} : { logprobs }),
    }))
  );
}
