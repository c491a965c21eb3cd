import type { Dispatcher } from 'undici';
import type { KeptResponse } from './entry.js';

type Headers = Record<string, string | string[] | undefined>;

/** RFC 9111 §3.2: of the body that is kept, whatever the 304 says. */
const ofBody = new Set(['content-encoding', 'content-length', 'content-range', 'content-type', 'transfer-encoding']);

/**
 * Answers a 304 with the response that it confirms, under the 304's own headers (RFC 9111 §4.3.4). So what lies above keeps the
 * response anew, for as long as the 304 says: undici itself would give the stale one out and forget it, or ask again each time.
 */
export class RefreshedResponse implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #kept: KeptResponse;

  constructor(handler: Dispatcher.DispatchHandler, kept: KeptResponse) {
    this.#handler = handler;
    this.#kept = kept;
  }

  onRequestStart(...args: Parameters<Required<Dispatcher.DispatchHandler>['onRequestStart']>): void {
    this.#handler.onRequestStart?.(...args);
  }

  onRequestUpgrade(...args: Parameters<Required<Dispatcher.DispatchHandler>['onRequestUpgrade']>): void {
    this.#handler.onRequestUpgrade?.(...args);
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: Headers, text?: string): void {
    const { statusCode, statusMessage, body } = this.#kept;
    const isOther = headers.etag !== undefined && headers.etag !== this.#kept.headers.etag;
    if (status !== 304 || isOther) {
      this.#handler.onResponseStart?.(controller, status, headers, text);
      return;
    }
    const merged = mergedHeaders(this.#kept.headers, headers);
    controller.rawHeaders = rawHeaders(merged);
    this.#handler.onResponseStart?.(controller, statusCode, merged, statusMessage);
    if (body.length > 0) this.#handler.onResponseData?.(controller, body);
  }

  onResponseData(...args: Parameters<Required<Dispatcher.DispatchHandler>['onResponseData']>): void {
    this.#handler.onResponseData?.(...args);
  }

  onResponseEnd(...args: Parameters<Required<Dispatcher.DispatchHandler>['onResponseEnd']>): void {
    this.#handler.onResponseEnd?.(...args);
  }

  onResponseError(...args: Parameters<Required<Dispatcher.DispatchHandler>['onResponseError']>): void {
    this.#handler.onResponseError?.(...args);
  }
}

function mergedHeaders(kept: Headers, told: Headers): Headers {
  const { age: _age, ...merged }: Headers = { ...kept };
  for (const [name, value] of Object.entries(told)) if (!ofBody.has(name)) merged[name] = value;
  return merged;
}

/** As undici's parser gives them: names and values in turn. */
function rawHeaders(headers: Headers): Buffer[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((each) => [Buffer.from(name, 'latin1'), Buffer.from(each, 'latin1')]),
  );
}
