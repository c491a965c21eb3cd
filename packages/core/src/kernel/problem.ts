import { isWarmpathError, type WarmpathErrorCode } from './errors.js';

/** An error as HTTP tells it: a problem document (RFC 9457), sent as `application/problem+json`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The WarmpathError's code, where it was one. */
  readonly code?: string;
  readonly retryAfterMs?: number;
}

/**
 * What a client may know of each code. An error's own message is for the log: it can hold the words of a model's server,
 * an option's value, or names that are nobody's business.
 */
const told: Partial<Record<WarmpathErrorCode, { readonly status: number; readonly detail: string }>> = {
  WP_TENANT_REQUIRED: { status: 401, detail: 'The request does not say on whose behalf it asks.' },
  WP_MODEL_REQUEST: { status: 502, detail: 'The model failed. Try again later.' },
  WP_MODEL_RESPONSE: { status: 502, detail: 'The model gave an answer that cannot be used. Try again later.' },
  WP_STREAM_INCOMPLETE: { status: 502, detail: 'The answer broke off before its end. Try again.' },
  WP_STREAM_LOST: { status: 502, detail: 'The answer broke off before its end. Try again.' },
  WP_CLOSED: { status: 503, detail: 'The server is shutting down. Try again later.' },
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

/**
 * What a client may be told of an error. Each WarmpathError has a text for clients. Another error speaks for itself when it
 * says `expose: true`, as those of body parsers and `http-errors` do; a `status` alone is not enough, since the errors of
 * other services' clients carry one too, and it is that service's. Of all else a client learns only that it happened.
 */
export function problemOf(error: unknown): Problem {
  if (isWarmpathError(error)) {
    const { status, detail } = told[error.code] ?? untold;
    const { retryAfterMs } = error.details;
    return {
      type: `urn:warmpath:${error.code}`,
      title: titleOf(status),
      status,
      detail,
      code: error.code,
      ...(Number.isFinite(retryAfterMs) ? { retryAfterMs: retryAfterMs as number } : {}),
    };
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

/** The headers of a problem document: never to be cached, with `Retry-After` (whole seconds) where it is known. */
export function problemHeaders({ retryAfterMs }: Problem): Record<string, string> {
  return {
    'Content-Type': 'application/problem+json',
    'Cache-Control': 'no-store',
    ...(retryAfterMs === undefined ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
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
