import { errorStatus, failureClass, isWarmpathError, type WarmpathErrorCode } from '../../kernel/index.js';

/** Trouble also where the same may not be sent again, as after a POST that was reset. */
const troubles: ReadonlySet<WarmpathErrorCode> = new Set<WarmpathErrorCode>(['WP_DEADLINE', 'WP_HTTP_FAILED']);

/**
 * Whether an error says that the backend is in trouble, which is not quite whether trying again can help: a status of 5xx does, even
 * where the server or the kind of request forbids to try again, and one of 4xx does not, even where the server asks for it again. Our own
 * refusals, by which nothing was asked of it, do not; a connection that is refused does.
 */
export function isTrouble(error: unknown): boolean {
  if (isWarmpathError(error) && troubles.has(error.code)) return true;
  if (error instanceof Error && 'phase' in error && error.phase === 'not-sent') return false;
  const status = error instanceof Error ? errorStatus(error) : undefined;
  if (status !== undefined && status >= 500) return status !== 501 && status !== 529;
  if (status !== undefined && status !== 408 && status !== 425) return false;
  return failureClass(error) === 'transient';
}

/** Whether a call was ended because it took too long, whoever's time that was. */
export function isTimeUp(reason: Error): boolean {
  return isWarmpathError(reason, 'WP_DEADLINE') || reason.name === 'TimeoutError';
}
