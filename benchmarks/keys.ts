import { digestKey } from '@warmpath/core/kernel';
import objectHash from 'object-hash';
import { measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';

/** What does it cost to make a cache key of a chat request, next to hashing the same object with object-hash? */
export async function keys(): Promise<Outcome> {
  const small = chatRequest(10);
  const large = chatRequest(100);
  const contest = (name: string, request: unknown) => ({
    name,
    ours: () => digestKey(request),
    // Its nearest setting: the same hash, and properties in any order, which is its default.
    peer: () => objectHash(request as object, { algorithm: 'sha256', encoding: 'base64' }),
    units: Buffer.byteLength(JSON.stringify(request)) / 1_000,
  });
  const ofSmall = await measure(contest('digestKey/object-hash', small));
  const ofLarge = await measure(contest('digestKey/object-hash.100kB', large));
  console.log('Time for each kB of a chat request, as JSON, of 10 kB and of 100 kB');
  printTable([ofSmall, ofLarge]);
  return {
    ratios: ratiosOf([ofSmall, ofLarge]),
    values: { 'key.nsPerKB': rounded(ofSmall.oursNs), 'key.nsPerKB.100kB': rounded(ofLarge.oursNs) },
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
