import type { Logger } from '@nestjs/common';
import type { WarmpathEvent } from '@warmpath/core';

/** Says once in the log that a store cannot be read or written, and once that it can be again. */
export function watchStore(what: string, log: Logger): (event: WarmpathEvent) => void {
  const outages = new Set<string>();
  return function watch(event) {
    if (event.type !== 'cache.store-state' || event.state === 'half-open') return;
    const able = `${what} can${event.state === 'open' ? 'not' : ''} be ${event.access === 'reading' ? 'read' : 'written'}`;
    const outage = `${event.cache} ${event.access}`;
    if (event.state === 'closed') {
      if (outages.delete(outage)) log.warn(`${able} again (${event.cache}).`);
    } else if (!outages.has(outage)) {
      outages.add(outage);
      log.warn(`${able} for now, so captions are kept in memory alone (${event.cache}).`);
    }
  };
}
