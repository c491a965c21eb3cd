import { isWarmpathError } from './errors.js';

const nonRetryables = new WeakSet<Error>();

/** Marks an error so that no layer tries again, whatever its kind. Returns the same error. */
export function nonRetryable<E extends Error>(error: E): E {
  nonRetryables.add(error);
  return error;
}

/** Statuses that say "not now" rather than "not so": RFC 9110 §15.5.9, RFC 6585 §4, RFC 9110 §15.6. */
const retryableStatuses = new Set([408, 429, 500, 502, 503, 504, 529]);

/**
 * Whether trying the same again can help. It cannot when the error was marked, when it says so itself (`retryable`, in
 * the error or its details), when a caller or a deadline ended the attempt's call, for bad input, and for other 4xx.
 */
export function isRetryable(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  if (nonRetryables.has(error) || error.name === 'AbortError') return false;
  const said = hint(error, 'retryable');
  if (typeof said === 'boolean') return said;
  const status = hint(error, 'status') ?? hint(error, 'statusCode');
  if (typeof status === 'number') return retryableStatuses.has(status);
  if (isWarmpathError(error)) return error.code === 'WP_DEADLINE' || error.code.startsWith('WP_MODEL_');
  return !(error instanceof TypeError && error.cause === undefined) && !(error instanceof RangeError);
}

/** The server's own word on when to come back (Retry-After), where the error carries it. */
export function retryAfterMs(error: unknown): number | undefined {
  const said = error instanceof Error ? hint(error, 'retryAfterMs') : undefined;
  return typeof said === 'number' && said >= 0 ? said : undefined;
}

function hint(error: Error, name: string): unknown {
  const own: unknown = Reflect.get(error, name);
  return own ?? (isWarmpathError(error) ? error.details[name] : undefined);
}
