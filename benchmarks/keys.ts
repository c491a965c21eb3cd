import { hash } from 'node:crypto';
import { digestKey } from '@warmpath/core/kernel';
import objectHash from 'object-hash';
import { measure, type Outcome, printTable, ratiosOf, rounded, type Task } from '#harness';

/**
 * What does it cost to make a cache key of a chat request, next to hashing the same object with object-hash? And next to
 * the floor: the hash alone, of JSON that somebody else has made.
 */
export async function keys(): Promise<Outcome> {
  const small = sidesOf(chatRequest(10));
  const large = sidesOf(chatRequest(100));
  const rows = [
    await measure({ name: 'digestKey/object-hash', ...small, peer: small.objectHash }),
    await measure({ name: 'digestKey/object-hash.100kB', ...large, peer: large.objectHash }),
    await measure({ name: 'digestKey/sha256', ...small, peer: small.sha256 }),
    await measure({ name: 'digestKey/sha256.100kB', ...large, peer: large.sha256 }),
  ] as const;
  console.log('Time for each kB of a chat request, as JSON, of 10 kB and of 100 kB; sha256 is that of the JSON alone');
  printTable(rows);
  return {
    ratios: ratiosOf(rows),
    values: {
      'key.nsPerKB': rounded(rows[0].oursNs),
      'key.nsPerKB.100kB': rounded(rows[1].oursNs),
      'key.floor.nsPerKB': rounded(rows[2].peerNs ?? Number.NaN),
      'key.floor.nsPerKB.100kB': rounded(rows[3].peerNs ?? Number.NaN),
    },
  };
}

function sidesOf(request: object): {
  readonly ours: Task;
  readonly objectHash: Task;
  readonly sha256: Task;
  readonly units: number;
} {
  const json = JSON.stringify(request);
  return {
    ours: () => digestKey(request),
    // Its nearest setting: the same hash, and properties in any order, which is its default.
    objectHash: () => objectHash(request, { algorithm: 'sha256', encoding: 'base64' }),
    sha256: () => hash('sha256', json, 'base64url'),
    units: Buffer.byteLength(json) / 1_000,
  };
}

/** A conversation with retrieved passages, about so many kilobytes as JSON: mostly prose, some of it not ASCII. */
function chatRequest(kilobytes: number): object {
  const prose =
    'A pool keeps its sockets open between requests – so the second one need not dial again. How long an idle socket ' +
    'stays is set by its keep-alive time; “0” closes it at once. ';
  const turns = Math.round(kilobytes / 2);
  return {
    model: 'llama3.2',
    temperature: 0.2,
    seed: 7,
    messages: Array.from({ length: turns }, (_, turn) => ({
      role: turn % 2 === 0 ? 'user' : 'assistant',
      content: `${turn}: ${prose.repeat(4)}`,
    })),
    passages: Array.from({ length: turns }, (_, place) => ({
      id: `pool.md#${place}`,
      title: 'Connection pool',
      heading: `Options ${place}`,
      text: prose.repeat(6),
    })),
  };
}
