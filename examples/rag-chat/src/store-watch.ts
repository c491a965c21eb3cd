import type { WarmpathEvent } from '@warmpath/core';
import { messageOf } from './start-error.js';

/** Says once that a store cannot be read or written, and once that it can be again. */
export function watchStore(what: string, log: (line: string) => void): (event: WarmpathEvent) => void {
  const reasons = { reading: 'no answer', writing: 'no answer' };
  const outages = new Set<keyof typeof reasons>();
  return function watch(event) {
    if (event.type === 'cache.store-failed') {
      reasons[event.operation === 'getMany' ? 'reading' : 'writing'] = messageOf(event.error);
    } else if (event.type === 'cache.store-state') {
      const { access, state } = event;
      const done = access === 'reading' ? 'read' : 'written';
      if (state === 'open' && !outages.has(access)) {
        outages.add(access);
        log(`${what} cannot be ${done} for now, so answers are kept in memory alone: ${reasons[access]}`);
      } else if (state === 'closed' && outages.delete(access)) log(`${what} can be ${done} again.`);
    }
  };
}
