import { type ErrorDetails, isWarmpathError, WarmpathError } from '../kernel/index.js';
import type { HttpResponseHeaders } from './contract.js';
import type { HttpErrorKind, HttpPhase } from './events.js';

/** A response with a status of 400 or more. What the service wrote is at hand, and in no log: loggers print what is enumerable. */
export class HttpStatusError extends WarmpathError {
  readonly status: number;
  /** The response's text, at most its first 64 KiB. Not enumerable. */
  declare readonly body: string;
  /** The response's headers. Not enumerable. */
  declare readonly headers: HttpResponseHeaders;

  constructor(
    message: string,
    response: { readonly status: number; readonly body: string; readonly headers: HttpResponseHeaders },
    details: ErrorDetails,
  ) {
    super('WP_HTTP_STATUS', message, { details });
    this.status = response.status;
    Object.defineProperty(this, 'body', { value: response.body });
    Object.defineProperty(this, 'headers', { value: response.headers });
  }
}

/** What errors say of the request that they are about. */
export interface RequestFacts {
  readonly service: string;
  readonly method: string;
  readonly phase: HttpPhase;
  /** Whether it may be sent twice. */
  readonly isRepeatable: boolean;
  /** Whether it went over a socket that had served before; undefined where it was not sent. */
  readonly isReuse?: boolean | undefined;
}

/** The details that all errors of a request have. What nobody has received may go again; what was sent only where it is repeatable. */
export function detailsOf(facts: RequestFacts): ErrorDetails {
  const { service, method, phase, isReuse } = facts;
  const retryable = phase === 'not-sent' || facts.isRepeatable;
  return { service, method, phase, retryable, ...(isReuse === undefined ? {} : { reused: isReuse }) };
}

const whatHappened: Readonly<Record<HttpPhase, string>> = {
  'not-sent': 'could not be reached',
  sent: 'broke off before it answered',
  responding: 'broke off in the middle of its answer',
};

/** `WP_HTTP_FAILED` around what undici or the system says. Neither a certificate nor the size of an answer is mended by asking again. */
export function failedError(facts: RequestFacts, kind: HttpErrorKind, cause: Error, what?: string): WarmpathError {
  const details = { ...detailsOf(facts), ...(kind === 'tls' || kind === 'tooLarge' ? { retryable: false } : {}), kind };
  const code = codeOf(cause);
  const told = what ?? `${whatHappened[facts.phase]}${code ? ` (${code})` : ''}`;
  return new WarmpathError('WP_HTTP_FAILED', `The service '${facts.service}' ${told}.`, {
    details,
    cause: withoutContent(cause),
  });
}

export function closedError(service: string): WarmpathError {
  const message = `The HTTP pool '${service}' has been closed.`;
  return new WarmpathError('WP_CLOSED', message, { details: { service, pool: service, retryable: false } });
}

export function tooLargeError(facts: RequestFacts, maxBytes: number): WarmpathError {
  const message = `The service '${facts.service}' answered with more than the ${maxBytes} bytes that a response may have.`;
  return new WarmpathError('WP_RESPONSE_TOO_LARGE', message, {
    details: { ...detailsOf(facts), retryable: false, maxBytes },
  });
}

/** What kind of failure an error of undici, of the system or of ours is. */
export function kindOf(error: Error): HttpErrorKind {
  if (isWarmpathError(error)) return kindOfOurs(error);
  const code = codeOf(error);
  if (code === undefined) return 'other';
  return kinds.get(code) ?? (tlsCode.test(code) ? 'tls' : code.startsWith('EAI_') ? 'dns' : 'other');
}

function kindOfOurs(error: WarmpathError): HttpErrorKind {
  if (error.code === 'WP_DEADLINE') return 'timeout';
  if (error.code === 'WP_RESPONSE_TOO_LARGE') return 'tooLarge';
  if (error.code === 'WP_HTTP_FAILED') return (error.details.kind as HttpErrorKind | undefined) ?? 'other';
  return 'aborted';
}

/** Whether a socket is gone, rather than one stream of HTTP/2, of which a server that is there has spoken. */
export function isOfSocket(error: Error): boolean {
  const code = codeOf(error);
  return kindOf(error) === 'reset' && code !== 'ERR_HTTP2_STREAM_ERROR' && code !== 'UND_ERR_INFO';
}

const refusedStream = 7;

/** Whether a server of HTTP/2 says that it has not looked at the request: RFC 9113, sections 6.8 and 8.7. */
export function isUnprocessed(error: Error): boolean {
  if ((error as { readonly http2ErrorCode?: unknown }).http2ErrorCode === refusedStream) return true;
  return error.message.startsWith('HTTP/2: "GOAWAY" frame received'); // undici's, for streams above the last that was taken
}

const kinds: ReadonlyMap<string, HttpErrorKind> = new Map([
  ['ECONNREFUSED', 'refused'],
  ['EHOSTUNREACH', 'refused'],
  ['ENETUNREACH', 'refused'],
  ['UND_ERR_PRX_CONN', 'refused'],
  ['ENOTFOUND', 'dns'],
  ['ETIMEDOUT', 'timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
  ['UND_ERR_HEADERS_TIMEOUT', 'timeout'], // of a proxy
  ['UND_ERR_HEADERS_OVERFLOW', 'tooLarge'],
  ['ECONNRESET', 'reset'],
  ['EPIPE', 'reset'],
  ['UND_ERR_SOCKET', 'reset'],
  ['UND_ERR_INFO', 'reset'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'reset'],
  ['ERR_HTTP2_STREAM_ERROR', 'reset'],
  ['ERR_HTTP2_SESSION_ERROR', 'reset'],
  ['UND_ERR_PRX_TLS', 'tls'],
  ['EPROTO', 'tls'],
]);

/** Node's names for what is wrong with a certificate or a handshake. */
const tlsCode =
  /^(?:CERT_|CRL_|ERR_TLS_|ERR_SSL_|ERR_OSSL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|PATH_LENGTH_)/;

/** The code of an error, or of the first that has one among those it is made of: all addresses of a host may fail. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as { readonly code?: unknown };
  if (typeof code === 'string') return code;
  return codeOf(error instanceof AggregateError ? error.errors[0] : error.cause);
}

/** undici's parser keeps what it could not read, which is the service's answer, so its error is not passed on. */
function withoutContent(error: Error): Error {
  if (error.name !== 'HTTPParserError') return error;
  const code = codeOf(error); // not all have one
  return Object.assign(new Error(error.message), code === undefined ? {} : { code });
}
