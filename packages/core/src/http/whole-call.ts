import { type Asked, Call, type CallHost, type CallOptions, unpackingError } from './call.js';
import type { HttpResponse, HttpResponseHeaders } from './contract.js';
import { decompressed } from './decompression.js';
import { codeOf, failedError, type RequestFacts, tooLargeError } from './errors.js';

/** A call that ends with the whole response in memory. */
class WholeCall extends Call {
  readonly #resolve: (response: HttpResponse) => void;
  readonly #reject: (error: Error) => void;

  constructor(host: CallHost, asked: Asked, resolve: (response: HttpResponse) => void, reject: (error: Error) => void) {
    super(host, asked);
    this.#resolve = resolve;
    this.#reject = reject;
  }

  protected onHead(): void {
    if (this.asked.method !== 'HEAD' && Number(this.headers['content-length']) > this.host.maxResponseBytes)
      this.#refuse();
  }

  protected onChunk(chunk: Buffer): void {
    if (this.keep(chunk) > this.host.maxResponseBytes) this.#refuse();
  }

  protected onEnd(): void {
    this.finish();
    const bytes = this.body((packed, steps) => decompressed(packed, steps, this.host.maxResponseBytes));
    if (Buffer.isBuffer(bytes)) this.#answer(bytes);
    else
      bytes.then(
        (unpacked) => this.#answer(unpacked),
        (error) => this.#reject(this.#unpackingFailed(error)),
      );
  }

  protected onFailure(error: Error): void {
    this.#reject(error);
  }

  #answer(bytes: Buffer): void {
    this.#resolve(new WholeResponse(this.status, this.headers, bytes, this.facts));
  }

  #refuse(): void {
    this.stop(tooLargeError(this.facts, this.host.maxResponseBytes));
  }

  #unpackingFailed(error: Error): Error {
    if (codeOf(error) === 'ERR_BUFFER_TOO_LARGE') return tooLargeError(this.facts, this.host.maxResponseBytes);
    return unpackingError(this.facts, error);
  }
}

/** Sends a request and waits for all of its response. */
export function callWhole(host: CallHost, asked: Asked, options: CallOptions): Promise<HttpResponse> {
  return new Promise((resolve, reject) => new WholeCall(host, asked, resolve, reject).begin(options));
}

class WholeResponse implements HttpResponse {
  readonly status: number;
  readonly headers: HttpResponseHeaders;
  readonly #bytes: Buffer;
  readonly #facts: RequestFacts;

  constructor(status: number, headers: HttpResponseHeaders, bytes: Buffer, facts: RequestFacts) {
    this.status = status;
    this.headers = headers;
    this.#bytes = bytes;
    this.#facts = facts;
  }

  bytes(): Uint8Array {
    return this.#bytes;
  }

  /** As the standard decodes: a mark at the beginning that says UTF-8 is none of the text. */
  text(): string {
    const text = this.#bytes.toString('utf8');
    return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  }

  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T;
    } catch {
      // V8's message quotes the text.
      throw failedError(this.#facts, 'other', new SyntaxError('not JSON'), 'answered with something that is not JSON');
    }
  }
}
