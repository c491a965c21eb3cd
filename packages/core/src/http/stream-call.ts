import { type Asked, Call, type CallHost, type CallOptions, unpackingError } from './call.js';
import type { HttpStream } from './contract.js';
import { codingsOf, decompressing } from './decompression.js';

/** This much is taken from the socket ahead of the reader. */
const aheadBytes = 64 * 1_024;

/** A call that is answered with the head of the response, and goes on as long as the body does. */
class StreamCall extends Call {
  readonly #resolve: (stream: HttpStream) => void;
  readonly #reject: (error: Error) => void;
  #body: Body | undefined;

  constructor(host: CallHost, asked: Asked, resolve: (stream: HttpStream) => void, reject: (error: Error) => void) {
    super(host, asked);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  protected onHead(): void {
    this.endsAt = this.asked.bodyEndsAt;
    this.host.deadlines.remove(this);
    if (this.endsAt !== Number.POSITIVE_INFINITY) this.host.deadlines.add(this);
    const body = new Body(this);
    this.#body = body;
    this.#resolve({ status: this.status, headers: this.headers, body: this.#unpacking(body) });
  }

  protected onChunk(chunk: Buffer): void {
    if (this.#body && this.#body.push(chunk) > aheadBytes) this.controller?.pause();
  }

  protected onEnd(): void {
    this.finish();
    this.#body?.end();
  }

  protected onFailure(error: Error): void {
    if (this.#body) this.#body.fail(error, this.isStopped);
    else this.#reject(error);
  }

  resume(): void {
    if (!this.isOver) this.controller?.resume();
  }

  #unpacking(body: Body): AsyncIterableIterator<Uint8Array> {
    const steps = this.host.decompress && this.asked.method !== 'HEAD' ? codingsOf(this.headers) : [];
    if (steps.length === 0) return body;
    const facts = this.facts;
    const unpacked = decompressing(body, steps, (error) => {
      if (error === body.failure) throw error;
      if (!body.isEmpty) throw unpackingError(facts, error); // a 204 or a 304 may have the header and no body
    });
    return {
      next: () => unpacked.next(),
      async return() {
        await unpacked.return(undefined);
        return body.return(); // a generator that has not begun would leave nothing
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

/** Sends a request and waits for the head of its response. */
export function callStream(host: CallHost, asked: Asked, options: CallOptions): Promise<HttpStream> {
  return new Promise((resolve, reject) => new StreamCall(host, asked, resolve, reject).begin(options));
}

interface Waiter {
  readonly resolve: (result: IteratorResult<Uint8Array>) => void;
  readonly reject: (error: Error) => void;
}

const done: IteratorResult<Uint8Array> = Object.freeze({ done: true, value: undefined });

/** What has come and was not read yet. */
class Body implements AsyncIterableIterator<Uint8Array> {
  /** What it was ended with. */
  failure: Error | undefined;
  /** Whether nothing has ever come. */
  isEmpty = true;
  readonly #call: StreamCall;
  readonly #chunks: Buffer[] = [];
  readonly #waiters: Waiter[] = [];
  #size = 0;
  #isOver = false;

  constructor(call: StreamCall) {
    this.#call = call;
  }

  /** Returns how much waits to be read. */
  push(chunk: Buffer): number {
    this.isEmpty = false;
    const waiter = this.#waiters.shift();
    if (waiter) waiter.resolve({ done: false, value: chunk });
    else {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
    }
    return this.#size;
  }

  end(): void {
    this.#isOver = true;
    for (const waiter of this.#waiters.splice(0)) waiter.resolve(done);
  }

  /** @param isNow rather than after what came before it */
  fail(error: Error, isNow: boolean): void {
    if (isNow) this.#drop();
    this.#isOver = true;
    this.failure = error;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const chunk = this.#chunks.shift();
    if (chunk) {
      this.#size -= chunk.length;
      if (this.#size <= aheadBytes) this.#call.resume();
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.failure) return Promise.reject(this.failure);
    if (this.#isOver) return Promise.resolve(done);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#drop();
    if (!this.#isOver) {
      this.end();
      this.#call.stop(new DOMException('The reader of the body has left.', 'AbortError'));
    }
    this.failure = undefined;
    return Promise.resolve(done);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #drop(): void {
    this.#chunks.length = 0;
    this.#size = 0;
  }
}
