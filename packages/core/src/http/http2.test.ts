import { constants } from 'node:http2';
import { describe, expect, it, onTestFinished } from 'vitest';
import { selfSigned } from '../../test/chaos/certificate.js';
import {
  type ChaosH2Server,
  failStream,
  goAwayAmid,
  goAwayWithout,
  h2Answer,
  hangStream,
  refuseStream,
  startChaosH2Server,
} from '../../test/chaos/chaos-h2-server.js';
import { failureOf, poolOf, until } from '../../test/http-set-up.js';
import { wasNotSent } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import type { HttpPool, HttpPoolOptions } from './index.js';

const certificate = selfSigned();

async function setUp(options: HttpPoolOptions = {}): Promise<{ server: ChaosH2Server; pool: HttpPool }> {
  const server = await startChaosH2Server(certificate);
  onTestFinished(() => server.close());
  return { server, pool: poolOf({ name: 'gpt', baseUrl: server.url, tls: { ca: server.ca }, ...options }) };
}

describe('an HTTP pool over HTTP/2', () => {
  it('sends many requests at a time over one socket, and counts them', async () => {
    const { server, pool } = await setUp();
    const all = Array.from({ length: 30 }, async (_, call) =>
      call % 2 ? (await pool.request('/')).text() : (await pool.fetch('/')).text(),
    );
    expect(new Set(await Promise.all(all))).toEqual(new Set(['ok']));
    for await (const chunk of (await pool.stream('/')).body) expect(Buffer.from(chunk).toString()).toBe('ok');
    await until(() => pool.stats().inFlight === 0);
    expect(server.counts).toEqual({ connections: 1, requests: 31 });
    expect(pool.stats()).toMatchObject({ dialled: 1, open: 1, sent: 31, reused: 30, ok: 31, queued: 0 });
    expect(pool.stats().protocols).toEqual({ h1: 0, h2: 31 });
    expect(pool.stats().bytesReceived).toBeGreaterThan(100);
    await pool.close();
    await until(() => server.open === 0);
  });

  it('takes a socket for idle when its last stream has ended', async () => {
    const clock = createFakeClock();
    const { pool } = await setUp({ clock, maxIdle: 0 });
    await Promise.all(Array.from({ length: 5 }, () => pool.request('/')));
    await until(() => pool.stats().inFlight === 0);
    await clock.advance(5_000);
    await until(() => pool.stats().open === 0);
    expect((await pool.request('/')).text()).toBe('ok');
    expect(pool.stats().dialled).toBe(2);
  });

  it('has more streams at a time than it has sockets', async () => {
    const { server, pool } = await setUp({ connections: 1 });
    server.script([], hangStream);
    const all = Array.from({ length: 40 }, () => failureOf(pool.request('/')));
    await until(() => server.counts.requests === 40);
    expect(pool.stats()).toMatchObject({ inFlight: 40, queued: 0, open: 1 });
    await pool.close({ drain: 0 });
    for (const failure of all) expect(await failure).toMatchObject({ code: 'WP_CLOSED' });
  });

  it('is not spoken when it is switched off', async () => {
    const { pool } = await setUp({ http2: false });
    const details = { phase: 'not-sent', kind: 'tls', retryable: false };
    expect(await failureOf(pool.request('/'))).toMatchObject({ code: 'WP_HTTP_FAILED', details });
  });

  it('refuses a certificate that nobody vouches for', async () => {
    const { server } = await setUp();
    const pool = poolOf({ baseUrl: server.url });
    expect(await failureOf(pool.request('/'))).toMatchObject({
      code: 'WP_HTTP_FAILED',
      details: { phase: 'not-sent', kind: 'tls', retryable: false },
    });
    expect(pool.stats()).toMatchObject({ sent: 0, errors: { tls: 1 } });
    expect((await poolOf({ tls: { rejectUnauthorized: false } }).request(server.url)).text()).toBe('ok');
  });

  it('sends again what the server has refused unread, a POST as well', async () => {
    const { server, pool } = await setUp();
    server.script([h2Answer, goAwayWithout, refuseStream]);
    expect((await pool.request('/')).text()).toBe('ok');
    expect((await pool.request('/', { json: 1 })).text()).toBe('ok');
    expect((await pool.request('/', { json: 2 })).text()).toBe('ok');
  });

  it('tells what is refused twice as not sent', async () => {
    const { server, pool } = await setUp();
    server.script([], refuseStream);
    const error = await failureOf(pool.request('/', { json: 1 }));
    expect(error).toMatchObject({ code: 'WP_HTTP_FAILED', details: { phase: 'not-sent', retryable: true } });
    expect(wasNotSent(error)).toBe(true);
  });

  it.each(['GET', 'POST'])('sends a %s that is always refused no more than twice', async (method) => {
    const { server, pool } = await setUp();
    server.script([h2Answer], refuseStream);
    await pool.request('/');
    const init = { method, ...(method === 'POST' && { body: 'question' }) };
    await failureOf(pool.request('/', init));
    await failureOf(pool.fetch('/', init));
    expect(server.counts.requests).toBe(1 + 2 + 2);
    expect(pool.stats()).toMatchObject({ redialled: 2, sent: 5 });
  });

  it('tells what may have been carried out as sent', async () => {
    const { server, pool } = await setUp();
    server.script([h2Answer, goAwayAmid, failStream]);
    await pool.request('/');
    for (let call = 0; call < 2; call++) {
      expect(await failureOf(pool.request('/', { json: 1 }))).toMatchObject({
        code: 'WP_HTTP_FAILED',
        details: { phase: 'sent', retryable: false },
      });
    }
  });

  it.each(['request', 'fetch', 'stream'] as const)(
    'cancels a %s that is left, and does not stand still where its body is still on the way',
    async (way) => {
      const { server, pool } = await setUp();
      const codes: unknown[] = [];
      server.script([h2Answer, (stream) => stream.once('close', () => codes.push(stream.rstCode))]);
      await pool.request('/');
      const left = async (body: string, isSent: () => boolean): Promise<void> => {
        const controller = new AbortController();
        const failed = failureOf(pool[way]('/', { method: 'POST', body, signal: controller.signal }));
        await until(isSent);
        controller.abort();
        expect(await failed).toMatchObject({ name: 'AbortError' });
      };
      await left('question', () => server.counts.requests === 2);
      await until(() => codes.length === 1);
      expect(codes).toEqual([constants.NGHTTP2_CANCEL]);
      await left('x'.repeat(5_000_000), () => pool.stats().sent === 3); // where this fails nothing goes on, not even the test
      expect((await pool.request('/')).text()).toBe('ok');
      expect(pool.stats()).toMatchObject({ dialled: 1, open: 1 });
    },
  );

  it('ends one stream at its deadline and leaves the others alone', async () => {
    const clock = createFakeClock();
    const { server, pool } = await setUp({ clock });
    server.script([h2Answer, hangStream]);
    await pool.request('/');
    const hung = failureOf(pool.request('/', { timeout: 100 }));
    await until(() => server.counts.requests === 2);
    const other = pool.request('/');
    await clock.advance(100);
    expect(await hung).toMatchObject({ code: 'WP_DEADLINE' });
    expect((await other).text()).toBe('ok');
    expect(pool.stats()).toMatchObject({ open: 1, dialled: 1 });
    expect(clock.pending).toBe(0);
  });
});
