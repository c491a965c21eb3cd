import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import {
  type AbortWatch,
  abortReason,
  type Clock,
  type Deadlines,
  parseRetryAfter,
  WarmpathError,
} from '../kernel/index.js';
import type { HttpBody, HttpResponseHeaders } from './contract.js';
import { beginningOf, type Coding, codingsOf } from './decompression.js';
import { detailsOf, failedError, HttpStatusError, type RequestFacts } from './errors.js';
import type { HttpPhase } from './events.js';
import type { Asker, Timed, WireOptions } from './wire.js';

/** What ends with a signal. */
export interface Leaver {
  stop(reason: Error, signal: AbortSignal): void;
}

/** What the calls of one pool share. */
export interface CallHost {
  readonly service: string;
  readonly clock: Clock;
  readonly deadlines: Deadlines<Timed>;
  readonly aborts: AbortWatch<Leaver>;
  readonly dispatch: Dispatcher.Dispatch;
  readonly maxResponseBytes: number;
  readonly decompress: boolean;
}

/** A promise where headers have to be waited for, which the call's signals and its time bound as well. */
export type CallOptions = WireOptions | Promise<WireOptions>;

/** What one call is about. */
export interface Asked {
  readonly method: string;
  readonly isRepeatable: boolean;
  readonly body: HttpBody | undefined;
  readonly signals: readonly AbortSignal[];
  readonly beganAt: number;
  /** Monotonic milliseconds up to which the response, or its head, has to be there. Infinity: never. */
  readonly endsAt: number;
  /** Monotonic milliseconds for the body of a stream. */
  readonly bodyEndsAt: number;
}

type Upload = Exclude<HttpBody, string | Uint8Array>;

function isUpload(body: HttpBody | undefined): body is Upload {
  return typeof body === 'object' && !(body instanceof Uint8Array);
}

const noSignals: readonly AbortSignal[] = [];

/** Those of a call and of its context, each once. */
export function signalsOf(own: AbortSignal | undefined, outer: AbortSignal | undefined): readonly AbortSignal[] {
  if (own === undefined) return outer === undefined ? noSignals : [outer];
  return outer === undefined || outer === own ? [own] : [own, outer];
}

/** The most of an error's body that is kept. */
const errorBytes = 64 * 1_024;

/** One call of `request` or `stream`: it leaves with its signals and at its deadline, and holds nothing of either afterwards. */
export abstract class Call implements Dispatcher.DispatchHandler, Timed, Leaver, Asker {
  readonly places: number[] = [-1];
  endsAt: number;
  onLeave: ((reason: Error) => void) | undefined;
  protected readonly host: CallHost;
  protected readonly asked: Asked;
  protected status = 0;
  protected headers: HttpResponseHeaders = {};
  protected controller: Dispatcher.DispatchController | undefined;
  #phase: HttpPhase = 'not-sent';
  #isOver = false;
  #stopped: Error | undefined;
  #chunks: Buffer[] = [];
  #size = 0;

  constructor(host: CallHost, asked: Asked) {
    this.host = host;
    this.asked = asked;
    this.endsAt = asked.endsAt;
  }

  begin(options: CallOptions): void {
    const { signals, body } = this.asked;
    if (body instanceof Readable) body.on('error', () => {}); // one that fails before it is read says so when it is
    const isBounded = this.endsAt !== Number.POSITIVE_INFINITY;
    const aborted = signals.find((signal) => signal.aborted);
    if (aborted) this.#fail(abortReason(aborted));
    else if (isBounded && this.endsAt <= this.host.clock.now()) this.#fail(this.#deadlineError());
    else {
      for (const signal of signals) this.host.aborts.join(signal, this);
      if (isBounded) this.host.deadlines.add(this);
    }
    if (options instanceof Promise)
      options.then(
        (ready) => this.#send(ready),
        (error) => this.#fail(error),
      );
    else this.#send(options);
  }

  /** Nobody wants the response any more. */
  stop(reason: Error): void {
    if (this.#isOver) return;
    this.#stopped = reason;
    this.#fail(reason);
    this.onLeave?.(reason);
    this.controller?.abort(reason);
  }

  onDue(): void {
    this.stop(this.#deadlineError());
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    this.#phase = 'sent';
    if (this.#stopped) controller.abort(this.#stopped);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200 || this.#isOver) return;
    this.#phase = 'responding';
    this.status = status;
    this.headers = headers;
    if (status < 400) this.onHead();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.status < 400) {
      this.onChunk(chunk);
      return;
    }
    if (this.keep(chunk) < errorBytes) return;
    this.#failWithStatus();
    controller.abort(new DOMException('More of the error than is kept.', 'AbortError'));
  }

  onResponseEnd(): void {
    if (this.#isOver) return;
    if (this.status >= 400) this.#failWithStatus();
    else this.onEnd();
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    // What has come of an error's body is enough to say what it is about.
    if (this.status >= 400 && !this.#isOver) this.#failWithStatus();
    else this.#fail(error);
  }

  /** Whether it is settled, or, of a stream, its body is at an end. */
  protected get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether its caller or its time ended it. */
  protected get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  protected get facts(): RequestFacts {
    const { method, isRepeatable } = this.asked;
    return { service: this.host.service, method, phase: this.#phase, isRepeatable };
  }

  /** A response below 400 begins. */
  protected abstract onHead(): void;
  protected abstract onChunk(chunk: Buffer): void;
  protected abstract onEnd(): void;
  /** It is over without a whole response. */
  protected abstract onFailure(error: Error): void;

  protected keep(chunk: Buffer): number {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    return this.#size;
  }

  /** Lets go of signals, deadline and body. */
  protected finish(): void {
    this.#isOver = true;
    if (this.asked.body instanceof Readable) this.asked.body.destroy();
    this.host.deadlines.remove(this);
    for (const signal of this.asked.signals) this.host.aborts.leave(signal, this);
  }

  /** What was kept, unpacked. A promise only where there is something to unpack. */
  protected body(unpack: (bytes: Buffer, steps: readonly Coding[]) => Promise<Buffer>): Buffer | Promise<Buffer> {
    const [first] = this.#chunks;
    const bytes = this.#chunks.length === 1 && first ? first : Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [];
    const steps = this.host.decompress && bytes.length > 0 ? codingsOf(this.headers) : [];
    return steps.length === 0 ? bytes : unpack(bytes, steps);
  }

  #send(options: WireOptions): void {
    if (this.#isOver) return;
    options.asker = this;
    const { body } = this.asked;
    // undici's types know only of some that can be iterated.
    if (isUpload(body)) options.body = this.#uploaded(body) as WireOptions['body'];
    this.host.dispatch(options, this);
  }

  /** What a caller's own body throws is for the caller to hear, and says nothing of the service. */
  async *#uploaded(body: Upload): Upload {
    try {
      yield* body;
    } catch (error) {
      this.stop(error as Error);
      throw error;
    }
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.finish();
    this.#chunks = [];
    this.onFailure(error);
  }

  #failWithStatus(): void {
    this.finish();
    const failed = (bytes: Buffer): void => {
      this.onFailure(statusError(this.facts, this.status, this.headers, bytes, this.host.clock.wall()));
    };
    const bytes = this.body((packed, steps) => beginningOf(packed, steps, errorBytes));
    if (Buffer.isBuffer(bytes)) failed(bytes);
    else bytes.then(failed);
  }

  #deadlineError(): WarmpathError {
    const timeoutMs = Math.max(0, this.endsAt - this.asked.beganAt);
    const message = `The service '${this.host.service}' took longer than the ${Math.round(timeoutMs)} ms that the call has.`;
    return new WarmpathError('WP_DEADLINE', message, { details: { ...detailsOf(this.facts), timeoutMs } });
  }
}

/** Whether a status is tried again is a matter of the status, unless the service itself says so (`x-should-retry`, which OpenAI sends). */
function statusError(
  facts: RequestFacts,
  status: number,
  headers: HttpResponseHeaders,
  bytes: Buffer,
  wallMs: number,
): HttpStatusError {
  const read = (name: string): string | undefined => {
    const value = headers[name];
    return typeof value === 'string' ? value : value?.[0];
  };
  const { service, method } = facts;
  const retryAfterMs = parseRetryAfter(read, wallMs);
  const said = read('x-should-retry');
  const body = bytes.toString('utf8', 0, errorBytes);
  return new HttpStatusError(
    `The service '${service}' answered ${status} to ${method}.`,
    { status, body, headers },
    {
      service,
      method,
      status,
      phase: 'responding',
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      ...(said === 'true' || said === 'false' ? { retryable: said === 'true' } : {}),
    },
  );
}

/** What a damaged or cut compressed body is told as. */
export function unpackingError(facts: RequestFacts, error: Error): WarmpathError {
  return failedError(facts, 'other', error, 'sent a body that does not unpack');
}
