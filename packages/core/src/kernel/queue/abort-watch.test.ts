import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { AbortWatch } from './abort-watch.js';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

function watched(): { watch: AbortWatch<string>; told: [readonly string[], AbortSignal][] } {
  const told: [readonly string[], AbortSignal][] = [];
  return { watch: new AbortWatch((members, signal) => told.push([members, signal])), told };
}

describe('AbortWatch', () => {
  it('has one listener a signal, however many wait with it, and none when they have left', () => {
    const { watch, told } = watched();
    const { signal } = new AbortController();
    for (const member of ['a', 'b', 'c']) watch.join(signal, member);
    expect(listeners(signal)).toBe(1);
    for (const member of ['b', 'a', 'never came']) watch.leave(signal, member);
    expect(listeners(signal)).toBe(1);
    watch.leave(signal, 'c');
    expect([listeners(signal), watch.signals, told.length]).toEqual([0, 0, 0]);
  });

  it('tells of all who wait with a signal that is aborted, once, and forgets it', () => {
    const { watch, told } = watched();
    const [first, second] = [new AbortController(), new AbortController()];
    for (const member of ['a', 'b']) watch.join(first.signal, member);
    watch.join(second.signal, 'c');
    watch.leave(first.signal, 'a');
    first.abort();
    watch.leave(first.signal, 'b');
    expect(told).toEqual([[['b'], first.signal]]);
    expect([listeners(first.signal), listeners(second.signal), watch.signals]).toEqual([0, 1, 1]);
  });

  it('lets somebody join again whom it has just told of', () => {
    const { signal } = new AbortController();
    const controller = new AbortController();
    const watch: AbortWatch<string> = new AbortWatch((members) => {
      for (const member of members) watch.join(signal, member);
    });
    watch.join(controller.signal, 'a');
    controller.abort();
    expect([watch.signals, listeners(signal)]).toEqual([1, 1]);
  });
});
