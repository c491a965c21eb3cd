import { deadlineError, WarmpathError } from '../kernel/index.js';
import type { Caller } from './options.js';

export function closedError(executor: string): WarmpathError {
  return new WarmpathError('WP_CLOSED', `Executor '${executor}' has been closed.`, { details: { executor } });
}

export function overloadedError(executor: string, running: number, maxWaiting: number): WarmpathError {
  const message = `Executor '${executor}' takes no task: ${running} run, and as many wait as may, ${maxWaiting}.`;
  return new WarmpathError('WP_OVERLOADED', message, {
    details: { executor, running, waiting: maxWaiting, maxWaiting },
  });
}

/** The time of several tasks together is up. */
export function lateError(executor: string, { deadline, askedAt }: Caller): WarmpathError {
  return deadlineError(`What was asked of executor '${executor}'`, Math.max(0, deadline - askedAt));
}
