/**
 * A listener whose own failure is no business of the work that it hears of: a failure is said once, as a process warning,
 * and passed over. Undefined stays undefined, so that nothing is computed for an event that nobody hears.
 */
export function safeListener<Event>(
  onEvent: ((event: Event) => void) | undefined,
): ((event: Event) => void) | undefined {
  if (!onEvent) return undefined;
  let hasFailed = false;
  return function listen(event) {
    try {
      onEvent(event);
    } catch (error) {
      if (!hasFailed) process.emitWarning(`An onEvent listener failed: ${error}`, { code: 'WARMPATH_LISTENER' });
      hasFailed = true;
    }
  };
}
