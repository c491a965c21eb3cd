import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type ChaosServer, startChaosServer } from '../packages/core/test/chaos/chaos-server.js';
import * as faults from '../packages/core/test/chaos/faults.js';
import { ChaosClient, type Way, ways } from './chaos-client.js';

let server: ChaosServer;
beforeAll(async () => {
  server = await startChaosServer();
});
afterAll(() => server.close());

function client(): ChaosClient {
  const made = new ChaosClient(server, { maxResponseBytes: '1MB' });
  onTestFinished(() => made.pool.close({ drain: 0 }));
  return made;
}

interface Row {
  readonly fault: faults.Fault;
  /** What the caller sees: of `request`, and of the others where that is not the same, or the same as the cause of a TypeError. */
  readonly request: string;
  readonly fetch?: string;
  readonly stream?: string;
  /** How many requests reach the server under three attempts, where `fetch` does not resolve; alone it is always one. */
  readonly GET: number;
  readonly POST: number;
  /** Only time ends it. */
  readonly hangs?: true;
}

const failed = 'WP_HTTP_FAILED';
/** The status is the caller's to look at: no error, so no second attempt. */
const status = (code: number, GET: number, POST: number): Row => ({
  fault: faults.answer(code),
  request: `WP_HTTP_STATUS responding ${code}`,
  fetch: `${code} ok`,
  GET,
  POST,
});
const oversized = { request: 'WP_RESPONSE_TOO_LARGE responding', fetch: '200 xxx', stream: '200 xxx', GET: 1, POST: 1 };

/*
 * An answer of 5xx or 429 says that the server has not done it, or not all of it, and is asked again whatever the method; where nobody
 * knows, only what may be repeated is. What was read to its end is not: the caller has it, or its end is what is wrong with it.
 */
const matrix: Readonly<Record<string, Row>> = {
  'an ordinary answer': { fault: faults.answer(), request: '200 ok', fetch: '200 ok', GET: 1, POST: 1 },
  'status 400': status(400, 1, 1),
  'status 401': status(401, 1, 1),
  'status 404': status(404, 1, 1),
  'status 429': status(429, 3, 3),
  'status 500': status(500, 3, 3),
  'status 503': status(503, 3, 3),
  'status 529': status(529, 3, 3),
  'reset before reading': { fault: faults.resetUnread, request: `${failed} sent`, GET: 3, POST: 1 },
  'end before reading': { fault: faults.endUnread, request: `${failed} sent`, GET: 3, POST: 1 },
  'reset after reading': { fault: faults.resetAfterReading, request: `${failed} sent`, GET: 3, POST: 1 },
  'half close in place of an answer': { fault: faults.endWithoutAnswer, request: `${failed} sent`, GET: 3, POST: 1 },
  'another protocol': { fault: faults.garbage, request: `${failed} responding`, GET: 3, POST: 1 },
  'reset amid the body': { fault: faults.resetMidBody, request: `${failed} responding`, GET: 3, POST: 1 },
  'half a chunk': { fault: faults.truncatedChunk, request: `${failed} responding`, GET: 3, POST: 1 },
  'no last chunk': { fault: faults.missingLastChunk, request: `${failed} responding`, GET: 3, POST: 1 },
  'less than its length says': { fault: faults.shorterThanSaid, request: `${failed} responding`, GET: 3, POST: 1 },
  'more than its length says': { fault: faults.longerThanSaid, request: '200 ok', fetch: '200 ok', GET: 1, POST: 1 },
  'too much, as it says': { fault: faults.oversize(1_500_000, true), ...oversized },
  'too much, unsaid': { fault: faults.oversize(1_500_000, false), ...oversized },
  'no answer': { fault: faults.hang, request: 'WP_DEADLINE sent', fetch: 'WP_DEADLINE', GET: 3, POST: 3, hangs: true },
  'an end that does not come': {
    fault: faults.hangMidBody,
    request: 'WP_DEADLINE responding',
    fetch: 'WP_DEADLINE',
    GET: 3,
    POST: 3,
    hangs: true,
  },
  'a body that drips': {
    fault: faults.drip(100_000, 10),
    request: 'WP_DEADLINE responding',
    fetch: 'WP_DEADLINE',
    GET: 3,
    POST: 3,
    hangs: true,
  },
};

function shown({ request, fetch, stream }: Row, way: Way): string {
  if (way === 'fetch') return fetch ?? `TypeError < ${request}`;
  return way === 'stream' && stream !== undefined ? stream : request;
}

const short = (seen: string): string => seen.replace(/x{4,}/, 'xxx');

const cases = Object.entries(matrix).flatMap(([name, row]) =>
  ways.flatMap((way) =>
    (['GET', 'POST'] as const).map((method) => {
      const seen = shown(row, way);
      const reached = /^\d/.test(seen) ? 1 : row[method];
      return { name, way, method, seen, reached, fault: row.fault, hangs: row.hangs === true };
    }),
  ),
);

describe('over a real socket', () => {
  it.each(cases)(
    '$name: $method by $way shows $seen, and reaches the server $reached times under three attempts',
    async ({ fault, way, method, seen, reached, hangs }) => {
      server.script([], fault);
      const alone = await client().alone(way, method, hangs);
      expect(short(alone.seen)).toBe(seen);
      expect(alone.tookMs).toBe(hangs ? 1_000 : 0);
      expect(server.counts.begun).toBe(1);

      server.script([], fault);
      const retried = await client().retried(way, method, hangs);
      // Where it is the retry's own time that is over, the pool is only told to stop.
      expect(short(retried.seen)).toBe(hangs ? 'WP_DEADLINE' : seen);
      expect(server.counts.begun).toBe(reached);
      const waits = retried.tookMs - (hangs ? 3_000 : 0);
      expect(waits).toBeGreaterThanOrEqual(0);
      expect(waits).toBeLessThanOrEqual(reached > 1 ? 800 : 0); // up to 200 and 400 ms, in steps of 100
    },
  );
});
