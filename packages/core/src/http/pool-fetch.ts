import type { IncomingHttpHeaders } from 'node:http';
import { type Dispatcher, FormData, Headers, fetch as undiciFetch } from 'undici';
import { type AbortWatch, currentContext, deadlineError, untilAborted, wholeDeadlineOf } from '../kernel/index.js';
import type { Leaver } from './call.js';
import { signalsOf } from './call.js';
import type { PoolFetch } from './contract.js';
import { closedError, codeOf } from './errors.js';
import { isRepeatable } from './repeatable.js';
import type { HeaderRecord, Service } from './service.js';
import type { Asker, Timed, Wire, WireOptions } from './wire.js';

type PlatformBody = NonNullable<RequestInit['body']>;

export interface FetchHost {
  readonly service: Service;
  readonly wire: Wire;
  readonly dispatch: Dispatcher.Dispatch;
  readonly aborts: AbortWatch<Leaver>;
  readonly idempotent: boolean;
  isClosed(): boolean;
}

/** The same standard in two sets of types: undici's own and those of the platform. */
const standardFetch = undiciFetch as unknown as (
  url: string,
  init: Omit<RequestInit, 'headers' | 'dispatcher'> & { headers: Headers; dispatcher: FetchCall },
) => Promise<Response>;

/** The standard `fetch` over a pool. What the pool adds, it adds to each request on the wire: a redirect elsewhere has none of it. */
export function createFetch(host: FetchHost): PoolFetch {
  return function fetch(input, init) {
    if (host.isClosed()) return Promise.reject(closedError(host.wire.service));
    return host.wire.under(() => fetched(host, input, init));
  };
}

async function fetched(host: FetchHost, input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const isAddress = typeof input === 'string' || input instanceof URL;
  const { signal, ...given } = isAddress ? { ...init } : { ...initOf(input), ...init };
  const url = addressOf(host.service, isAddress ? input : input.url);
  const headers = headersOf(given);
  const body = given.body instanceof globalThis.FormData ? formOf(given.body) : given.body;
  for (let isAgain = false; ; isAgain = true) {
    const call = new FetchCall(host, headers, signal ?? undefined);
    try {
      await call.prepare(url);
      const pooled = {
        ...given,
        ...(body === undefined ? {} : { body: body as PlatformBody }),
        headers,
        dispatcher: call,
      };
      const response = await standardFetch(url, call.signal ? { ...pooled, signal: call.signal } : pooled);
      call.answered();
      return response;
    } catch (error) {
      call.release();
      if (isAgain || !call.mayGoAgain || !isAtHand(body)) throw withoutAddress(error);
      host.wire.countRedial();
    }
  }
}

/** One `fetch`, whose redirects are requests of their own. */
class FetchCall implements Timed, Leaver, Asker {
  readonly places: number[] = [-1];
  endsAt: number;
  onLeave: ((reason: Error) => void) | undefined;
  readonly #host: FetchHost;
  #own: HeaderRecord | undefined;
  readonly #given: Headers;
  readonly #signals: readonly AbortSignal[];
  readonly #beganAt: number;
  readonly #bodyEndsAt: number;
  readonly #abort: AbortController | undefined;
  #requests = 0;
  #open = 0;
  #isAnswered = false;
  #isBodyGone = false;

  constructor(host: FetchHost, given: Headers, signal: AbortSignal | undefined) {
    const context = currentContext();
    this.#host = host;
    this.#given = given;
    this.#signals = signalsOf(signal, context?.signal);
    this.endsAt = context?.deadline ?? Number.POSITIVE_INFINITY;
    this.#bodyEndsAt = wholeDeadlineOf(context);
    this.#beganAt = host.wire.clock.now();
    const isBounded = this.endsAt !== Number.POSITIVE_INFINITY;
    if (this.#signals.length === 0 && !isBounded) return;
    // undici leaves its listeners on a signal until they are collected: so it is given a signal that goes with the call.
    this.#abort = new AbortController();
    const aborted = this.#signals.find((each) => each.aborted);
    if (aborted) this.#abort.abort(aborted.reason);
    else if (this.endsAt <= this.#beganAt) this.onDue();
    else {
      for (const each of this.#signals) host.aborts.join(each, this);
      if (isBounded) host.wire.deadlines.add(this);
    }
  }

  get signal(): AbortSignal | undefined {
    return this.#abort?.signal;
  }

  /** What is added to requests to the service; a call that goes elsewhere takes nothing along, wherever it is redirected. */
  async prepare(url: string): Promise<void> {
    if (this.signal?.aborted || !this.#host.service.owns(new URL(url).origin)) return;
    const own = this.#host.service.headers();
    this.#own = own instanceof Promise ? await untilAborted(own, this.signal) : own;
  }

  stop(reason: Error, signal: AbortSignal): void {
    this.#leave(reason, signal.reason);
  }

  onDue(): void {
    const what = `The service '${this.#host.wire.service}'`;
    const reason = deadlineError(what, Math.max(0, this.endsAt - this.#beganAt));
    this.#leave(reason, reason);
  }

  /** What undici's `fetch` asks of its dispatcher. */
  dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.#requests++;
    this.#open++;
    const headers = this.#headersFor(options);
    const idempotent = isRepeatable(options.method, this.#host.idempotent, this.#given.has('idempotency-key'));
    const asked: WireOptions = { ...options, headers, idempotent, asker: this };
    return this.#host.dispatch(asked, new FetchHandler(this, handler));
  }

  /** Its response is there; what is left of the call is the body. */
  answered(): void {
    this.#isAnswered = true;
    if (this.#open === 0) this.release();
    else if (this.#bodyEndsAt !== this.endsAt) {
      const { deadlines } = this.#host.wire;
      deadlines.remove(this);
      this.endsAt = this.#bodyEndsAt;
      if (this.endsAt !== Number.POSITIVE_INFINITY) deadlines.add(this);
    }
  }

  closeOne(): void {
    this.#open--;
    if (this.#isAnswered && this.#open === 0) this.release();
  }

  /** Lets go of signals and deadline. Idempotent. */
  release(): void {
    this.#host.wire.deadlines.remove(this);
    for (const each of this.#signals) this.#host.aborts.leave(each, this);
  }

  /** undici's `fetch` makes a stream of each body, which is used up when it has been sent. */
  onBodyGone(): void {
    this.#isBodyGone = true;
  }

  get mayGoAgain(): boolean {
    return this.#isBodyGone && this.#requests === 1;
  }

  /** @param told as it is, where the caller gave it */
  #leave(reason: Error, told: unknown): void {
    this.release();
    this.#abort?.abort(told);
    this.onLeave?.(reason);
  }

  /** undici fills in headers such as User-Agent, which are not the caller's: those of the service are put in their place. */
  #headersFor(options: Dispatcher.DispatchOptions): Record<string, string> {
    const headers = options.headers as Record<string, string>;
    const own = this.#own;
    if (own === undefined || !this.#host.service.owns(String(options.origin))) return headers;
    const added = Object.entries(own).filter(([name]) => !this.#given.has(name));
    return { ...headers, ...Object.fromEntries(added) };
  }
}

/** undici's own handler of a `fetch`, and word of the end of its request. */
class FetchHandler implements Dispatcher.DispatchHandler {
  readonly #call: FetchCall;
  readonly #inner: Dispatcher.DispatchHandler;

  constructor(call: FetchCall, inner: Dispatcher.DispatchHandler) {
    this.#call = call;
    this.#inner = inner;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#inner.onRequestStart?.(controller, context);
  }

  onResponseStarted(): void {
    this.#inner.onResponseStarted?.();
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    message?: string,
  ): void {
    this.#inner.onResponseStart?.(controller, status, headers, message);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#inner.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.#call.closeOne();
    this.#inner.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.#call.closeOne();
    this.#inner.onResponseError?.(controller, error);
  }
}

/** undici does not know the platform's Request, which is of the undici that Node brings along. */
function initOf(request: Request): RequestInit {
  const { method, headers, redirect, signal, body } = request;
  return { method, headers, redirect, signal, ...(body === null ? {} : { body, duplex: 'half' }) };
}

/** The standard's errors quote the address, with the secrets that it may hold. */
function addressOf(service: Service, to: string | URL): string {
  try {
    const { origin, path } = service.target(to);
    return `${origin}${path}`;
  } catch (error) {
    throw new TypeError('The address is not one that can be fetched.', { cause: error });
  }
}

/** That of a redirect that leads nowhere quotes both addresses. */
function withoutAddress(error: unknown): unknown {
  if (!(error instanceof TypeError) || codeOf(error.cause) !== 'ERR_INVALID_URL') return error;
  return new TypeError('fetch failed', {
    cause: new Error('The address of a redirect is not one that can be fetched.'),
  });
}

/** They quote values of headers as well. */
function headersOf(init: RequestInit | undefined): Headers {
  try {
    return new Headers(init?.headers as ConstructorParameters<typeof Headers>[0]);
  } catch {
    throw new TypeError('The headers have a name or a value that HTTP does not allow.');
  }
}

function formOf(platform: globalThis.FormData): FormData {
  const form = new FormData();
  for (const [name, value] of platform) form.append(name, value);
  return form;
}

function isAtHand(body: unknown): boolean {
  if (typeof body === 'string' || body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return true;
  return body instanceof URLSearchParams || body instanceof Blob || body instanceof FormData;
}
