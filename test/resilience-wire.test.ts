import { isRetryable, retryAfterMs } from '@warmpath/core/kernel';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import * as h2 from '../packages/core/test/chaos/chaos-h2-server.js';
import { type ChaosServer, startChaosServer } from '../packages/core/test/chaos/chaos-server.js';
import * as faults from '../packages/core/test/chaos/faults.js';
import { retryAfterForms } from '../packages/core/test/chaos/retry-after-forms.js';
import { type Asked, ChaosClient, type Method, said, ways } from './chaos-client.js';

let server: ChaosServer;
let h2Server: h2.ChaosH2Server;
beforeAll(async () => {
  server = await startChaosServer();
  h2Server = await h2.startChaosH2Server();
});
afterAll(() => Promise.all([server.close(), h2Server.close()]));

function client(asked: Asked = server): ChaosClient {
  const made = new ChaosClient(asked, asked === h2Server ? { tls: { ca: h2Server.ca } } : {});
  onTestFinished(() => made.pool.close({ drain: 0 }));
  return made;
}

const methods: readonly Method[] = ['GET', 'POST'];
const eachWay = ways.flatMap((way) => methods.map((method) => ({ way, method })));

describe.each(eachWay)('$method by $way', ({ way, method }) => {
  it('is refused by a closed port: not sent, so every method is tried again', async () => {
    const gone = await startChaosServer();
    await gone.close();
    const { seen, error } = await client(gone).alone(way, method);
    expect(seen).toMatch(/WP_HTTP_FAILED not-sent$/);
    expect(isRetryable(error)).toBe(true);
    const refused = client(gone);
    expect((await refused.retried(way, method)).tookMs).toBeGreaterThan(0);
    expect(refused.pool.stats().errors.refused).toBe(3);
  });

  it('meets a reset as soon as it is connected: no request arrives', async () => {
    server.script([], faults.resetOnAccept);
    // Whether its bytes were written before the reset came is a race of the two ends.
    expect((await client().alone(way, method)).seen).toMatch(/WP_HTTP_FAILED (?:not-)?sent$/);
    expect(server.counts.begun).toBe(0);
  });

  it.each(
    Object.entries({
      'a reset before it is read': faults.resetUnread,
      'a reset after it is read': faults.resetAfterReading,
      'an end before it is read': faults.endUnread,
      'an end in place of an answer': faults.endWithoutAnswer,
    }),
  )('meets %s on a connection that has served before: sent once more where it may be', async (_, fault) => {
    const asking = client();
    server.script([faults.answer(), fault]);
    await asking.alone('request', 'GET');
    const { seen } = await asking.alone(way, method);
    expect(seen).toMatch(method === 'GET' ? '200 ok' : /WP_HTTP_FAILED sent$/);
    expect(server.counts.begun).toBe(method === 'GET' ? 3 : 2);
    expect(asking.pool.stats().redialled).toBe(method === 'GET' ? 1 : 0);
  });

  it('is sent once more only once', async () => {
    const asking = client();
    server.script([faults.answer()], faults.resetUnread);
    await asking.alone('request', 'GET');
    expect((await asking.alone(way, method)).seen).toMatch(/WP_HTTP_FAILED sent$/);
    expect(server.counts.begun).toBe(method === 'GET' ? 3 : 2);
  });

  it('does not notice a server that ends each connection after its answer', async () => {
    const asking = client();
    server.script([], faults.answerThenEnd());
    for (let call = 0; call < 5; call++) expect((await asking.alone(way, method)).seen).toBe('200 ok');
    expect(server.counts.requests).toBe(5);
    expect(asking.pool.stats().redialled).toBe(0);
  });

  it('outlives a burst of errors', async () => {
    server.script([faults.answer(500), faults.answer(503)]);
    const { seen } = await client().retried(way, method);
    expect(seen).toBe(way === 'fetch' ? '500 ok' : '200 ok');
    expect(server.counts).toEqual({
      connections: 1,
      begun: way === 'fetch' ? 1 : 3,
      requests: way === 'fetch' ? 1 : 3,
    });
  });
});

describe('a server that asks for patience', () => {
  const waits = retryAfterForms.flatMap((form) => [429, 503].map((status) => ({ ...form, status })));
  it.each(waits)('with $status and $form is left alone for $ms ms', async ({ headers, ms, status }) => {
    server.script([faults.answer(status, headers)]);
    expect(retryAfterMs((await client().alone('request', 'GET')).error)).toBe(ms);
    server.script([faults.answer(status, headers)]);
    const { seen, tookMs } = await client().retried('request', 'GET');
    expect(seen).toBe('200 ok');
    expect(server.counts.requests).toBe(2);
    expect(tookMs).toBeGreaterThanOrEqual(ms ?? 0);
    expect(tookMs).toBeLessThanOrEqual((ms ?? 0) + 300); // the backoff of up to 200 ms, in steps of 100
  });
});

interface H2Row {
  readonly fault: h2.H2Fault;
  /** What is seen of `request`, and how many requests arrive, on a connection that has served before. */
  readonly GET: readonly [seen: string, requests: number];
  readonly POST: readonly [seen: string, requests: number];
}

const failed = 'WP_HTTP_FAILED';

/** RFC 9113, section 8.7: what was refused, or is above the last stream of a GOAWAY, was not processed, and may be sent again. */
const overH2: Readonly<Record<string, H2Row>> = {
  'an ordinary answer': { fault: h2.h2Answer, GET: ['200 ok', 1], POST: ['200 ok', 1] },
  'an answer and GOAWAY': { fault: h2.answerThenGoAway, GET: ['200 ok', 1], POST: ['200 ok', 1] },
  'GOAWAY without its stream': { fault: h2.goAwayWithout, GET: ['200 ok', 2], POST: ['200 ok', 2] },
  REFUSED_STREAM: { fault: h2.refuseStream, GET: ['200 ok', 2], POST: ['200 ok', 2] },
  'GOAWAY amid its stream': { fault: h2.goAwayAmid, GET: ['200 ok', 2], POST: [`${failed} sent`, 1] },
  'INTERNAL_ERROR of its stream': { fault: h2.failStream, GET: [`${failed} sent`, 1], POST: [`${failed} sent`, 1] },
  'INTERNAL_ERROR amid the body': {
    fault: h2.failMidBody,
    GET: [`${failed} responding`, 1],
    POST: [`${failed} responding`, 1],
  },
  'no answer': { fault: h2.hangStream, GET: ['WP_DEADLINE sent', 1], POST: ['WP_DEADLINE sent', 1] },
};

const h2Cases = Object.entries(overH2).flatMap(([name, row]) =>
  eachWay.map(({ way, method }) => {
    const [plain, requests] = row[method];
    const ofFetch = plain.startsWith(failed) ? `TypeError < ${plain}` : plain.replace(/(WP_DEADLINE).*/, '$1');
    return { name, way, method, seen: way === 'fetch' ? ofFetch : plain, requests, fault: row.fault };
  }),
);

describe('over HTTP/2', () => {
  it.each(h2Cases)(
    '$name: $method by $way shows $seen, and reaches the server $requests times',
    async ({ fault, way, method, seen, requests }) => {
      const asking = client(h2Server);
      h2Server.script([]);
      expect((await asking.alone('request', 'GET')).seen).toBe('200 ok');
      h2Server.script([fault]);
      const outcome = await asking.alone(way, method, fault === h2.hangStream);
      expect(outcome.seen, said(outcome.error)).toBe(seen);
      expect(h2Server.counts.requests).toBe(requests);
      expect((await asking.alone('request', 'GET')).seen).toBe('200 ok');
      const { h1, h2: sent } = asking.pool.stats().protocols;
      expect([h1, sent]).toEqual([0, requests + 2]);
    },
  );
});
