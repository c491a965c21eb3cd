/**
 * Every code that a WarmpathError can carry, with what it means. Codes are stable: callers may switch on them, and
 * `docs/errors.md` has an entry for each, which a test proves.
 */
export const errorCodes = {
  WP_BAD_OPTION: 'An option has a value that its rule does not allow, or a name that does not exist.',
  WP_BAD_KEY: 'A value has no canonical form and so cannot be part of a cache key.',
  WP_TENANT_REQUIRED: 'A cache that keeps tenants apart was called without a tenant.',
  WP_DEADLINE: 'The time allowed for a call ran out.',
  WP_CLOSED: 'Something was used after it had been closed.',
  WP_OVERLOADED: 'A queue or buffer is at its limit.',
  WP_RATE_LIMITED: 'The limits of a model have no room for the request in time.',
  WP_BATCH_MISMATCH: 'A function that works on many at once did not return one result for each.',
  WP_BATCH_ITEM_TOO_LARGE: 'An item is larger than a whole batch may be.',
  WP_NOTHING_PREVIOUS: 'A computation said that the previous value is right as it is, and there is none.',
  WP_BREAKER_OPEN: 'A backend has failed too often and is left alone for a while.',
  WP_NO_BACKEND: 'No backend can take the request.',
  WP_HTTP_FAILED: 'A service could not be reached, or its answer broke off.',
  WP_HTTP_STATUS: 'A service answered with an error status.',
  WP_RESPONSE_TOO_LARGE: 'A response is larger than it may be.',
  WP_MODEL_REQUEST: 'A model server refused the request or could not be reached.',
  WP_MODEL_RESPONSE: 'A model server answered with something that is not of its protocol.',
  WP_STREAM_INCOMPLETE: 'A stream ended before it was complete.',
  WP_STREAM_LOST: 'A stream that another process produces broke off on its way to this one.',
  WP_MODULE_MISSING: 'A module that the call needs is not there: the WarmpathModule, or a package.',
} as const;

export type WarmpathErrorCode = keyof typeof errorCodes;

/** The numbers and names that explain an error, safe to log: they never hold keys, prompts or credentials. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** A broken promise: a bad option, a dead store, a bad payload. A refusal (rate limited, queue full) is a value instead. */
export class WarmpathError extends Error {
  override readonly name: string = 'WarmpathError';
  readonly code: WarmpathErrorCode;
  readonly details: ErrorDetails;

  constructor(code: WarmpathErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** True for a WarmpathError, also one made by another copy of this package in the same process. */
export function isWarmpathError(error: unknown, code?: WarmpathErrorCode): error is WarmpathError {
  if (!(error instanceof Error && error.name === 'WarmpathError' && 'code' in error)) return false;
  return code === undefined || error.code === code;
}
