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

const statuses: Partial<Record<WarmpathErrorCode, number>> = {
  WP_TENANT_REQUIRED: 401,
  WP_ITEM_TOO_LARGE: 413,
  WP_MODEL_REQUEST: 502,
  WP_MODEL_RESPONSE: 502,
  WP_STREAM_INCOMPLETE: 502,
  WP_CLOSED: 503,
  WP_NO_BACKEND: 503,
  WP_OVERLOADED: 503,
  WP_DEADLINE: 504,
};

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
 * What a client may be told of an error. A WarmpathError speaks for itself, and so does an error that carries a 4xx
 * `status` or says `expose: true` (as body parsers and `http-errors` do); of the rest a client learns only that it happened.
 */
export function problemOf(error: unknown): Problem {
  if (isWarmpathError(error)) {
    const status = statuses[error.code] ?? 500;
    const { retryAfterMs } = error.details;
    return {
      type: `urn:warmpath:${error.code}`,
      title: titleOf(status),
      status,
      detail: error.message,
      code: error.code,
      ...(Number.isFinite(retryAfterMs) ? { retryAfterMs: retryAfterMs as number } : {}),
    };
  }
  const status = statusOf(error);
  const { expose = status < 500, title, type } = (error ?? {}) as Partial<Told>;
  if (expose !== true || !(error instanceof Error)) {
    const detail =
      status < 500
        ? 'The server refused the request and gave no reason.'
        : 'The request failed on the server. Its log says why.';
    return { type: 'about:blank', title: titleOf(status), status, detail };
  }
  return {
    type: typeof type === 'string' && URL.canParse(type) ? type : 'about:blank',
    title: typeof title === 'string' ? title : titleOf(status),
    status,
    detail: error.message,
  };
}

/** What an error may carry for its client; other libraries use the same names for other things. */
interface Told {
  readonly expose: unknown;
  readonly title: unknown;
  readonly type: unknown;
}

function statusOf(error: unknown): number {
  const { status, statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown };
  const said = status ?? statusCode;
  return typeof said === 'number' && Number.isInteger(said) && said >= 400 && said <= 599 ? said : 500;
}

function titleOf(status: number): string {
  return titles[status] ?? (status < 500 ? 'The request was refused' : 'The request failed');
}
