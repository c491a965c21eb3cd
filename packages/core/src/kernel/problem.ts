import { isWarmpathError, type WarmpathErrorCode } from './errors.js';
import { failureClass, isSpent, retryAfterMs, severalIn } from './failure.js';
import { mostCauses } from './foreign-error.js';

/** An error as HTTP tells it: a problem document (RFC 9457), sent as `application/problem+json`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The WarmpathError's code, where it was one. */
  readonly code?: string;
  readonly retryAfterMs?: number;
  /** False where the same request again ends the same, or has been tried here as often as it is worth. No member of the document. */
  readonly shouldRetry?: false;
}

/**
 * What a client may know of each code. An error's own message is for the log: it can hold the words of a model's server,
 * an option's value, or names that are nobody's business.
 */
const told: Partial<Record<WarmpathErrorCode, { readonly status: number; readonly detail: string }>> = {
  WP_TENANT_REQUIRED: { status: 401, detail: 'The request does not say on whose behalf it asks.' },
  WP_MODEL_REQUEST: { status: 502, detail: 'The model failed. Try again later.' },
  WP_MODEL_RESPONSE: { status: 502, detail: 'The model gave an answer that cannot be used. Try again later.' },
  WP_HTTP_STATUS: { status: 502, detail: 'A service that is needed for this failed. Try again later.' },
  WP_HTTP_FAILED: { status: 502, detail: 'A service that is needed for this could not be reached. Try again later.' },
  WP_RESPONSE_TOO_LARGE: { status: 502, detail: 'A service that is needed for this sent more than it may.' },
  WP_STREAM_INCOMPLETE: { status: 502, detail: 'The answer broke off before its end. Try again.' },
  WP_STREAM_LOST: { status: 502, detail: 'The answer broke off before its end. Try again.' },
  WP_CLOSED: { status: 503, detail: 'The server is shutting down. Try again later.' },
  WP_BREAKER_OPEN: { status: 503, detail: 'A service that is needed for this is failing. Try again later.' },
  WP_NO_BACKEND: { status: 503, detail: 'No model can take this request at the moment. Try again later.' },
  WP_RATE_LIMITED: { status: 503, detail: 'The quota of the model is used up at the moment. Try again later.' },
  WP_OVERLOADED: { status: 503, detail: 'The server has too much to do. Try again later.' },
  WP_DEADLINE: { status: 504, detail: 'The answer took longer than it may. Try again later.' },
};
const untold = { status: 500, detail: 'The request failed on the server. Its log says why.' };

const titles: Readonly<Record<number, string>> = {
  400: 'Bad request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not found',
  405: 'Method not allowed',
  413: 'Content too large',
  415: 'Unsupported media type',
  422: 'Unprocessable content',
  429: 'Too many requests',
  500: 'Internal server error',
  502: 'Bad gateway',
  503: 'Service unavailable',
  504: 'Gateway timeout',
};

/** Refusals of the moment: nothing was tried, so clients are to come back, and when is in `Retry-After` where it is known. */
const ofTheMoment: readonly string[] = [
  'WP_CLOSED',
  'WP_BREAKER_OPEN',
  'WP_NO_BACKEND',
  'WP_RATE_LIMITED',
  'WP_OVERLOADED',
] satisfies WarmpathErrorCode[];

/** What no layer here can begin again, though whoever asked can. */
const brokenOff: readonly string[] = ['WP_STREAM_INCOMPLETE', 'WP_STREAM_LOST'] satisfies WarmpathErrorCode[];

/**
 * What a client may be told of an error. Each WarmpathError has a text for clients. Another error speaks for itself when it
 * says `expose: true`, as those of body parsers and `http-errors` do; a `status` alone is not enough, since the errors of
 * other services' clients carry one too, and it is that service's. Of all else a client learns only that it happened. Of several failures
 * (AggregateError) the last is told, with the shortest wait of all. A failure that nothing can be gained from repeating says so to SDKs
 * (`shouldRetry`): our own retries are spent, or it is permanent. Refusals of the moment do not.
 */
export function problemOf(error: unknown): Problem {
  const last = lastOf(error);
  const problem = problemOfOne(last);
  const waitMs = isWarmpathError(last) || last !== error ? retryAfterMs(error) : undefined;
  return {
    ...problem,
    ...(waitMs !== undefined && Number.isFinite(waitMs) ? { retryAfterMs: waitMs } : {}),
    ...(problem.status >= 500 && isOver(error, problem.code) ? { shouldRetry: false } : {}),
  };
}

/** Of several failures the last one; of one, that one. */
function lastOf(error: unknown): unknown {
  let last = error;
  let several = severalIn(error);
  for (let left = mostCauses; left > 0 && several; left--) {
    last = several.at(-1);
    several = severalIn(last);
  }
  return last;
}

function isOver(error: unknown, code = ''): boolean {
  if (ofTheMoment.includes(code)) return false;
  return isSpent(error) || (failureClass(error) === 'permanent' && !brokenOff.includes(code));
}

function problemOfOne(error: unknown): Problem {
  if (isWarmpathError(error)) {
    const { status, detail } = told[error.code] ?? untold;
    return { type: `urn:warmpath:${error.code}`, title: titleOf(status), status, detail, code: error.code };
  }
  const { expose, title, type } = (error ?? {}) as Partial<Speaking>;
  // Express refuses an address that cannot be decoded with a URIError that has a status and nothing else.
  if (!(error instanceof Error && (expose === true || error instanceof URIError))) {
    return { type: 'about:blank', title: titleOf(untold.status), ...untold };
  }
  const status = statusOf(error);
  return {
    type: typeof type === 'string' && URL.canParse(type) ? type : 'about:blank',
    title: typeof title === 'string' ? title : titleOf(status),
    status,
    detail: error.message,
  };
}

/** What a route may have said of an answer that it then could not give: none of it is true of a problem document. */
export const answerHeaders: readonly string[] = [
  'Content-Disposition',
  'Content-Encoding',
  'Content-Language',
  'Content-Range',
  'ETag',
  'Expires',
  'Last-Modified',
];

/**
 * The headers of a problem document: never to be cached, with `Retry-After` (whole seconds) where it is known, and with
 * `X-Should-Retry: false` where the SDKs of OpenAI and others, which ask three times by themselves, are not to.
 */
export function problemHeaders({ retryAfterMs: waitMs, shouldRetry }: Problem): Record<string, string> {
  return {
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    ...(waitMs === undefined ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(waitMs / 1000))) }),
    ...(shouldRetry === false ? { 'X-Should-Retry': 'false' } : {}),
  };
}

/** What an error may carry for its client; other libraries use the same names for other things. */
interface Speaking {
  readonly expose: unknown;
  readonly title: unknown;
  readonly type: unknown;
}

function statusOf(error: Error): number {
  const { status, statusCode } = error as { status?: unknown; statusCode?: unknown };
  const said = status ?? statusCode;
  return typeof said === 'number' && Number.isInteger(said) && said >= 400 && said <= 599 ? said : untold.status;
}

function titleOf(status: number): string {
  return titles[status] ?? (status < 500 ? 'The request was refused' : 'The request failed');
}
