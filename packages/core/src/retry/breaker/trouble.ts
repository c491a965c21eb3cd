import { failureClass, isWarmpathError, type WarmpathErrorCode } from '../../kernel/index.js';

/** Trouble also where the same may not be sent again, as after a POST that was reset. */
const troubles: ReadonlySet<WarmpathErrorCode> = new Set<WarmpathErrorCode>(['WP_DEADLINE', 'WP_HTTP_FAILED']);

/**
 * Whether an error says that the backend is in trouble, which is not quite whether trying again can help: a status of 5xx does, even
 * where the server or the kind of request forbids to try again. Our own refusals, by which nothing was asked of it, do not; a
 * connection that is refused does.
 */
export function isTrouble(error: unknown): boolean {
  if (isWarmpathError(error) && troubles.has(error.code)) return true;
  const status = statusOf(error);
  if (status !== undefined && status >= 500) return status !== 501 && status !== 529;
  return failureClass(error) === 'transient';
}

function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  const status: unknown = isWarmpathError(error) ? error.details.status : Reflect.get(error, 'status');
  return typeof status === 'number' ? status : undefined;
}

/** Whether a call was ended because it took too long, whoever's time that was. */
export function isTimeUp(reason: Error): boolean {
  return isWarmpathError(reason, 'WP_DEADLINE') || reason.name === 'TimeoutError';
}
