import { textOf } from './foreign-error.js';

/**
 * A listener whose own failure is no business of the work that it hears of: a failure is said once, as a process warning,
 * and passed over. Undefined stays undefined, so that nothing is computed for an event that nobody hears.
 */
export function safeListener<Event>(
  onEvent: ((event: Event) => void) | undefined,
): ((event: Event) => void) | undefined {
  if (!onEvent) return undefined;
  let hasFailed = false;
  const failed = (error: unknown): void => {
    if (!hasFailed) process.emitWarning(`An onEvent listener failed: ${textOf(error)}`, { code: 'WARMPATH_LISTENER' });
    hasFailed = true;
  };
  return function listen(event) {
    try {
      const heard: unknown = onEvent(event);
      // An async listener fits the type as well; nobody else would hear of its failure, which would end the process.
      if (heard instanceof Promise) heard.catch(failed);
    } catch (error) {
      failed(error);
    }
  };
}
