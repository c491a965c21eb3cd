import { WarmpathError } from '../kernel/index.js';

export function closedError(executor: string): WarmpathError {
  return new WarmpathError('WP_CLOSED', `Executor '${executor}' has been closed.`, { details: { executor } });
}

export function overloadedError(executor: string, running: number, maxWaiting: number): WarmpathError {
  const message = `Executor '${executor}' takes no task: ${running} run, and as many wait as may, ${maxWaiting}.`;
  return new WarmpathError('WP_OVERLOADED', message, {
    details: { executor, running, waiting: maxWaiting, maxWaiting },
  });
}
