import { isWarmpathError } from './errors.js';
import type { HeaderReader } from './retry-after.js';

/** What clients hang on their errors; each of these may be missing, or be something else in another library. */
export interface ForeignError {
  readonly name?: unknown;
  readonly message?: unknown;
  readonly code?: unknown;
  readonly type?: unknown;
  readonly status?: unknown;
  readonly statusCode?: unknown;
  readonly status_code?: unknown;
  readonly headers?: unknown;
  readonly responseHeaders?: unknown;
  readonly response?: unknown;
  readonly $response?: unknown;
  readonly $metadata?: unknown;
  readonly $retryable?: unknown;
  readonly retryable?: unknown;
  readonly isRetryable?: unknown;
  readonly retryAfterMs?: unknown;
  readonly phase?: unknown;
  readonly error?: unknown;
  readonly errors?: unknown;
  readonly errorDetails?: unknown;
  readonly details?: unknown;
  readonly syscall?: unknown;
  readonly body?: unknown;
  readonly responseBody?: unknown;
  readonly cause?: unknown;
  readonly lastError?: unknown;
}

/** How many errors of a chain of causes are looked at: a chain may lead back to where it began. */
export const mostCauses = 5;

/** What can carry a cause, a status and so on: an error, or whatever else was thrown that is an object. */
export function asForeign(value: unknown): ForeignError | undefined {
  return typeof value === 'object' && value !== null ? value : undefined;
}

/** What is said of whatever was thrown: anything can be, also what refuses to become text. */
export function textOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something that has no text';
  }
}

/** What lies beneath an error: its cause, or the last of the attempts that the AI SDK made (`RetryError`). */
export function beneath(error: ForeignError): ForeignError | undefined {
  return asForeign(error.cause ?? error.lastError);
}

/** An error and what has caused it, the outermost first; at most five. */
export function errorChain(error: Error): readonly Error[] {
  const chain: Error[] = [];
  for (let each: unknown = error; each instanceof Error && chain.length < mostCauses; each = beneath(each)) {
    chain.push(each);
  }
  return chain;
}

/**
 * The HTTP status (400 and above) that one error tells, wherever its client keeps it: most of them, ollama-js, axios and ky, the AWS
 * SDK, Google's clients, and what OpenRouter and others report in the middle of a stream.
 */
export function errorStatus(error: ForeignError): number | undefined {
  const details = ownDetails(error);
  return (
    asStatus(error.status) ??
    asStatus(error.statusCode) ??
    asStatus(error.status_code) ??
    asStatus(details?.status) ??
    asStatus(asForeign(error.response)?.status) ??
    asStatus(asForeign(error.response)?.statusCode) ??
    asStatus(asRecord(error.$metadata)?.httpStatusCode) ??
    asStatus(error.code) ??
    asStatus(asForeign(error.error)?.code)
  );
}

function asStatus(value: unknown): number | undefined {
  return typeof value === 'number' && value >= 400 && value <= 599 ? value : undefined;
}

/** What an error says of itself by that name, or, of one of ours, its details. */
export function hintOf(error: ForeignError, name: 'retryable' | 'retryAfterMs'): unknown {
  return error[name] ?? ownDetails(error)?.[name];
}

export function ownDetails(error: ForeignError): Readonly<Record<string, unknown>> | undefined {
  return isWarmpathError(error) ? error.details : undefined;
}

/** The headers of the response that an error tells of, where its client keeps them. Their values are not to be shown. */
export function errorHeaders(error: ForeignError): HeaderReader | undefined {
  const headers =
    error.headers ?? error.responseHeaders ?? asForeign(error.response)?.headers ?? asForeign(error.$response)?.headers;
  const record = asRecord(headers);
  if (!record) return undefined;
  const { get } = record;
  if (typeof get === 'function') return (name) => asHeader(get.call(headers, name));
  return (name) =>
    asHeader(record[name] ?? record[Object.keys(record).find((key) => key.toLowerCase() === name) ?? name]);
}

function asHeader(value: unknown): string | undefined {
  const one: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value;
  if (typeof one === 'number') return String(one);
  return typeof one === 'string' ? one : undefined;
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}

/** Of Node and of undici, where the network fails and the same may go well another time. */
const networkCode = /^(?:E(?:CONN|PIPE|HOST|NET|TIMEDOUT|AI_AGAIN|NOTFOUND)|UND_ERR_)/;

/**
 * Certificates and protocols that do not fit (OpenSSL, Node), requests that are not to be sent as they are, responses too large, and
 * clients that have been closed: the same again ends the same.
 */
const hopelessCode =
  /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|UNABLE_TO_(?:GET_(?:ISSUER|CRL)|VERIFY_LEAF|DECRYPT|DECODE_ISSUER)|ERR_TLS_(?!HANDSHAKE)|ERR_SSL_WRONG_VERSION|ERR_INVALID_|ERR_HTTP_INVALID_|ERR_UNESCAPED_|UND_ERR_(?:INVALID|NOT_SUPPORTED|ABORT|DESTROYED|CLOSED|HEADERS_OVERFLOW|REQ_CONTENT|RES_EXCEEDED|BPL_|MAX_ORIGINS|REDIRECT_MAX))/;

/** Whether the code of an error is one of Node's or undici's that no repetition mends. */
export function isHopeless({ code }: ForeignError): boolean {
  return typeof code === 'string' && hopelessCode.test(code);
}

/** Whether one error is of the network, or a timeout: by its code, as what fetch() throws without a response, or by name. */
export function isOfNetwork(error: ForeignError): boolean {
  const { code } = error;
  if (typeof code === 'string' && networkCode.test(code)) return !hopelessCode.test(code);
  return (error instanceof TypeError && error.cause !== undefined) || error.name === 'TimeoutError';
}
