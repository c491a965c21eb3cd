import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Gates, type Waiting } from './gates.js';

type Command =
  | { readonly do: 'enter' }
  | { readonly do: 'leave' }
  | { readonly do: 'giveUp'; readonly at: number }
  | { readonly do: 'sentAs'; readonly isH2: boolean };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Command>({ do: 'enter' }) },
  { weight: 2, arbitrary: fc.constant<Command>({ do: 'leave' }) },
  fc.record({ do: fc.constant('giveUp' as const), at: fc.nat(9) }),
  fc.record({ do: fc.constant('sentAs' as const), isH2: fc.boolean() }),
);

describe('the gates of a pool', () => {
  it('start requests in the order in which they came, as many as there is room for, and those that left never', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.array(command, { maxLength: 60 }), (connections, commands) => {
        const gates = new Gates(connections);
        const started: number[] = [];
        const requests: Waiting[] = [];
        let [limit, taken] = [connections, 0];
        let queue: number[] = [];
        const expected: number[] = [];
        const open = (): void => {
          while (taken < limit && queue.length > 0) {
            expected.push(queue.shift() as number);
            taken++;
          }
        };
        for (const each of commands) {
          if (each.do === 'enter') {
            const id = requests.length;
            requests.push({ start: () => void started.push(id) });
            if (gates.enter('a', requests[id] as Waiting)) started.push(id);
            queue.push(id);
          } else if (each.do === 'leave' && taken > 0) {
            taken--;
            gates.leave('a');
          } else if (each.do === 'giveUp' && queue.length > 0) {
            const id = queue[each.at % queue.length] as number;
            queue = queue.filter((other) => other !== id);
            gates.giveUp('a', requests[id] as Waiting);
          } else if (each.do === 'sentAs' && requests.length > 0) {
            limit = each.isH2 ? connections * 100 : connections;
            gates.sentAs('a', each.isH2);
          }
          open();
          expect(started).toEqual(expected);
        }
      }),
    );
  });

  it('keeps origins apart', () => {
    const gates = new Gates(1);
    const request = { start: () => {} };
    expect([gates.enter('a', request), gates.enter('a', request), gates.enter('b', request)]).toEqual([
      true,
      false,
      true,
    ]);
  });

  it('survives any number of requests that are over as soon as they start', () => {
    const gates = new Gates(1);
    let started = 0;
    gates.enter('a', { start: () => {} });
    for (let each = 0; each < 50_000; each++) {
      gates.enter('a', {
        start() {
          started++;
          gates.leave('a');
        },
      });
    }
    gates.leave('a');
    expect(started).toBe(50_000);
  });
});
