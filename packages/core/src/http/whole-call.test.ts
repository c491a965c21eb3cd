import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { failureOf, poolOf, serve, serveBytes, until } from '../../test/http-set-up.js';
import { runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { HttpStatusError } from './index.js';

const echo = (): ReturnType<typeof serve> =>
  serve(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const { method, url, headers } = req;
    res.end(JSON.stringify({ method, url, headers, body: Buffer.concat(chunks).toString() }));
  });

async function* pieces(...texts: readonly string[]): AsyncGenerator<string> {
  yield* texts;
}

describe('pool.request', () => {
  it('sends method, query, headers and each form of body', async () => {
    const pool = poolOf({ baseUrl: (await echo()).url });
    const query = { q: ['a b', 'ü'], page: 2, all: true, none: undefined };
    expect((await pool.request('/find?x=1', { query })).json()).toMatchObject({
      method: 'GET',
      url: '/find?x=1&q=a+b&q=%C3%BC&page=2&all=true',
      headers: { 'accept-encoding': 'gzip, br' },
    });
    expect((await pool.request('/', { json: { a: 1 }, headers: { 'X-Id': '7' } })).json()).toMatchObject({
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': '7', 'x-id': '7' },
      body: '{"a":1}',
    });
    for (const body of ['text', Buffer.from('text'), pieces('te', 'xt')]) {
      expect((await pool.request('/', { method: 'put', body })).json()).toMatchObject({ method: 'PUT', body: 'text' });
    }
  });

  it('gives the whole response as bytes, text without its byte order mark, or JSON', async () => {
    const { url } = await serve((_, res) => void res.setHeader('set-cookie', ['a', 'b']).end('\ufeff{"ok":true}'));
    const response = await poolOf().request(url);
    expect(response.status).toBe(200);
    expect(response.headers).toMatchObject({ 'set-cookie': ['a', 'b'], 'content-length': '14' });
    expect(response.bytes().length).toBe(14);
    expect(response.text()).toBe('{"ok":true}');
    expect(response.json<{ ok: boolean }>().ok).toBe(true);
  });

  it('says that a body is not JSON without quoting it', async () => {
    const { url } = await serve((_, res) => void res.end('s3cret'));
    const response = await poolOf({ name: 'gpt' }).request(url);
    const error = await failureOf((async () => response.json())());
    expect(error).toMatchObject({ code: 'WP_HTTP_FAILED', details: { phase: 'responding', kind: 'other' } });
    expect(inspect(error)).not.toContain('s3cret');
  });

  it('returns redirects as they are', async () => {
    const { url } = await serve((_, res) => void res.writeHead(302, { location: '/other' }).end());
    expect(await poolOf().request(url)).toMatchObject({ status: 302, headers: { location: '/other' } });
  });

  it('rejects with the status, when to come back, and the text, which no log shows', async () => {
    const headers = { 'retry-after': '1.5', 'x-should-retry': 'false', 'x-request-id': 'r-1' };
    const { url } = await serve((_, res) => void res.writeHead(429, headers).end(gzipSync('never mind: s3cret')));
    const { url: packed } = await serve(
      (_, res) => void res.writeHead(500, { 'content-encoding': 'gzip' }).end(gzipSync('packed')),
    );
    const pool = poolOf({ name: 'gpt' });
    const error = (await failureOf(pool.request(url, { method: 'POST' }))) as HttpStatusError;
    expect(error).toBeInstanceOf(HttpStatusError);
    expect(error).toMatchObject({
      code: 'WP_HTTP_STATUS',
      message: "The service 'gpt' answered 429 to POST.",
      status: 429,
      details: {
        service: 'gpt',
        method: 'POST',
        status: 429,
        phase: 'responding',
        retryAfterMs: 1_500,
        retryable: false,
      },
    });
    expect(error.headers['x-request-id']).toBe('r-1');
    expect(inspect(error) + JSON.stringify(error)).not.toContain('r-1');
    expect(((await failureOf(pool.request(packed))) as HttpStatusError).body).toBe('packed');
  });

  it('keeps the first 64 KiB of an error, and does not wait for the rest', async () => {
    const { url } = await serve((_, res) => void res.writeHead(500).write('x'.repeat(200_000)));
    const pool = poolOf();
    const error = (await failureOf(pool.request(url))) as HttpStatusError;
    expect(error.body.length).toBe(65_536);
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats().errors).toMatchObject({ status5xx: 1, aborted: 0 });
  });

  it.each([
    ['is more than is kept', gzipSync('x'.repeat(200_000)), 'x'.repeat(65_536)],
    [
      'is cut',
      gzipSync('ordinary words, and some more of them').subarray(0, -8),
      'ordinary words, and some more of them',
    ],
    ['is damaged', Buffer.from('not gzip'), ''],
  ])('keeps the beginning of a packed error that %s', async (_, packed, body) => {
    const { url } = await serve((_, res) => void res.writeHead(500, { 'content-encoding': 'gzip' }).end(packed));
    expect(((await failureOf(poolOf().request(url))) as HttpStatusError).body).toBe(body);
  });

  it('tells the status of an error whose body breaks off', async () => {
    const url = await serveBytes((socket) => socket.end('HTTP/1.1 503 x\r\ncontent-length: 99\r\n\r\nhalf'));
    expect(await failureOf(poolOf().request(url))).toMatchObject({ status: 503, body: 'half' });
  });

  it.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
  ])('unpacks %s', async (encoding, pack) => {
    const { url } = await serve(
      (_, res) => void res.setHeader('content-encoding', encoding).end(pack('x'.repeat(9_999))),
    );
    expect((await poolOf().request(url)).text()).toBe('x'.repeat(9_999));
    expect((await poolOf({ decompress: false }).request(url)).bytes().length).toBeLessThan(200);
  });

  it('tells of a packed body that is damaged', async () => {
    const { url } = await serve((_, res) => void res.setHeader('content-encoding', 'gzip').end('not gzip'));
    expect(await failureOf(poolOf().request(url))).toMatchObject({
      code: 'WP_HTTP_FAILED',
      details: { kind: 'other' },
    });
  });

  it('refuses what is larger than allowed: as it is announced, as it comes, and as it unpacks', async () => {
    const { url } = await serve((req, res) => {
      if (req.url === '/announced') res.setHeader('content-length', 1_001);
      if (req.url === '/packed') res.setHeader('content-encoding', 'gzip').end(gzipSync('x'.repeat(1_001)));
      else res.write('x'.repeat(req.url === '/announced' ? 1 : 1_001));
    });
    const pool = poolOf({ baseUrl: url, maxResponseBytes: 1_000 });
    for (const path of ['/announced', '/comes', '/packed']) {
      const details = { phase: 'responding', retryable: false, maxBytes: 1_000 };
      expect(await failureOf(pool.request(path))).toMatchObject({ code: 'WP_RESPONSE_TOO_LARGE', details });
    }
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats()).toMatchObject({ open: 1, errors: { tooLarge: 2 } });
  });

  it('does not quote an answer that is not HTTP', async () => {
    const url = await serveBytes((socket) => socket.end('SSH-2.0-s3cret\r\n'));
    const error = await failureOf(poolOf().request(url));
    expect(error).toMatchObject({ code: 'WP_HTTP_FAILED', details: { kind: 'other' } });
    expect(error.cause).toMatchObject({ message: expect.stringContaining('does not match the HTTP/1.1 protocol') });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('s3cret');
  });

  it.each([
    [{ method: 'A B' }, "option 'method' must be a method"],
    [{ headers: { 'x-key': 's3cret\r\n' } }, "option 'headers.x-key' must be a text"],
    [{ headers: { 'content-length': 's3cret' } }, 'invalid content-length header'],
    [{ headers: { 'transfer-encoding': 's3cret' } }, 'invalid transfer-encoding header'],
    [{ body: 'a', json: 's3cret' }, "option 'json' must be given in place of 'body'"],
    [{ timeOut: 5 }, "there is no option 'timeOut'"],
    [{ headers: new Headers({ 'x-key': 's3cret' }) }, 'of a Headers, Object.fromEntries(headers)'],
    [{ query: new URLSearchParams({ key: 's3cret' }) }, "option 'query' must be an object of texts"],
    [{ query: { deep: { key: 's3cret' } } }, "option 'query' must be an object of texts"],
    [{ json: () => 's3cret' }, "option 'json' must be something that JSON has"],
  ])('refuses %j', async (init, message) => {
    const error = await failureOf(poolOf().request('http://127.0.0.1:9', init as never));
    expect(error).toMatchObject({ code: 'WP_BAD_OPTION', message: expect.stringContaining(message) });
    expect(inspect(error)).not.toContain('s3cret');
  });
});

describe('the time of pool.request', () => {
  const hanging = (): ReturnType<typeof serve> =>
    serve((req, res) => void (req.url === '/body' && res.write('a part')));

  it.each([
    ['/', 'POST', 'sent', false],
    ['/', 'GET', 'sent', true],
    ['/body', 'POST', 'responding', false],
  ])('ends at its timeout: %s %s', async (path, method, phase, retryable) => {
    const clock = createFakeClock();
    const pool = poolOf({ name: 'gpt', baseUrl: (await hanging()).url, clock });
    const failure = failureOf(pool.request(path, { method, timeout: 250 }));
    await until(() => pool.stats().sent === 1 && (path === '/' || pool.stats().bytesReceived > 0));
    await clock.advance(249);
    expect(pool.stats().inFlight).toBe(1);
    await clock.advance(1);
    expect(await failure).toMatchObject({
      code: 'WP_DEADLINE',
      details: { service: 'gpt', method, phase, retryable, timeoutMs: 250 },
    });
    await until(() => pool.stats().open === 0);
    expect(pool.stats()).toMatchObject({ inFlight: 0, errors: { timeout: 1 } });
    expect(clock.pending).toBe(0);
  });

  it('ends at the deadline of the call context, on one timer for all, and is not sent when it has passed', async () => {
    const clock = createFakeClock();
    const pool = poolOf({ baseUrl: (await hanging()).url, clock, connections: 2 });
    const calls = runInContext({ deadline: 100 }, () =>
      Array.from({ length: 20 }, (_, call) => failureOf(pool.request('/', { timeout: 1_000 + call }))),
    );
    await until(() => pool.stats().sent === 2);
    expect(clock.pending).toBe(1);
    await clock.advance(100);
    for (const call of calls) expect(await call).toMatchObject({ code: 'WP_DEADLINE' });
    expect(await failureOf(runInContext({ deadline: 100 }, () => pool.request('/')))).toMatchObject({
      code: 'WP_DEADLINE',
      details: { phase: 'not-sent' },
    });
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats()).toMatchObject({ sent: 2, queued: 0 });
    expect(clock.pending).toBe(0);
  });

  it('is given up when headers or the rest of a body do not come', async () => {
    const clock = createFakeClock();
    const pool = poolOf({ baseUrl: (await hanging()).url, clock, headersTimeout: '5s', bodyTimeout: '2s' });
    const failures = [failureOf(pool.request('/')), failureOf(pool.request('/body'))];
    await until(() => pool.stats().sent === 2 && pool.stats().bytesReceived > 0);
    await clock.advance(2_000);
    expect(await failures[1]).toMatchObject({
      code: 'WP_HTTP_FAILED',
      details: { kind: 'timeout', phase: 'responding' },
      message: "The service 'http' sent nothing more of its answer for 2000 ms.",
    });
    await clock.advance(3_000);
    expect(await failures[0]).toMatchObject({ code: 'WP_HTTP_FAILED', details: { kind: 'timeout', phase: 'sent' } });
    expect(clock.pending).toBe(0);
  });

  it('ends with the reason of the signal, of its own and of the context, and leaves no listener', async () => {
    const pool = poolOf({ baseUrl: (await hanging()).url, connections: 1 });
    const [own, outer] = [new AbortController(), new AbortController()];
    const signal = own.signal;
    const running = failureOf(pool.request('/', { signal }));
    const queued = failureOf(pool.request('/', { signal }));
    const inContext = failureOf(runInContext({ signal: outer.signal }, () => pool.request('/', { signal })));
    await until(() => pool.stats().sent === 1);
    expect(getEventListeners(signal, 'abort').length).toBe(1);
    const [left, closed] = [new Error('left'), new Error('closed')];
    outer.abort(closed);
    expect(await inContext).toBe(closed);
    own.abort(left);
    expect(await running).toBe(left);
    expect(await queued).toBe(left);
    expect(await failureOf(pool.request('/', { signal }))).toBe(left);
    expect([signal, outer.signal].map((each) => getEventListeners(each, 'abort').length)).toEqual([0, 0]);
    await until(() => pool.stats().inFlight === 0);
    expect(pool.stats()).toMatchObject({ sent: 1, errors: { aborted: 3 } });
  });

  it('leaves no listener after an answer', async () => {
    const { url } = await echo();
    const { signal } = new AbortController();
    await poolOf().request(url, { signal });
    expect(getEventListeners(signal, 'abort').length).toBe(0);
  });
});
