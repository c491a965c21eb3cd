import { getEventListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createGzip, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { failureOf, poolOf, serve, serveBytes, until } from '../../test/http-set-up.js';
import { runInContext, runWithin } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';

/** A server whose responses the test writes by hand. */
async function writing() {
  const responses: ServerResponse[] = [];
  const { url } = await serve((_, res) => {
    responses.push(res);
    res.write('one');
  });
  return { url, responses };
}

const read = async (body: AsyncIterable<Uint8Array>): Promise<string> => {
  let text = '';
  for await (const chunk of body) text += Buffer.from(chunk).toString();
  return text;
};

describe('pool.stream', () => {
  it('resolves with the headers and gives what comes as it comes', async () => {
    const { url, responses } = await writing();
    const { status, body } = await poolOf().stream(url);
    expect(status).toBe(200);
    expect(String(Buffer.from((await body.next()).value))).toBe('one');
    const next = body.next();
    responses[0]?.end('two');
    expect(String(Buffer.from((await next).value))).toBe('two');
    expect(await body.next()).toEqual({ done: true, value: undefined });
    expect(await body.next()).toEqual({ done: true, value: undefined });
  });

  it.each(['before anything is read', 'in the middle'])('ends its request when its reader leaves %s', async (when) => {
    const { url, responses } = await writing();
    const pool = poolOf();
    const { body } = await pool.stream(url);
    if (when === 'in the middle') for await (const _ of body) break;
    else await body.return?.();
    await until(() => responses[0]?.destroyed === true && pool.stats().open === 0);
    expect(await body.next()).toEqual({ done: true, value: undefined });
    expect(pool.stats()).toMatchObject({ inFlight: 0, errors: { aborted: 1 } });
  });

  it('has the time of one attempt for its head, and that of the whole call for its body', async () => {
    const { url, responses } = await writing();
    const clock = createFakeClock();
    const now = clock.now();
    const attempt = { attributes: {}, deadline: now + 1_000, wholeDeadline: now + 9_000 };
    const { body } = await runWithin(attempt, () => poolOf({ clock }).stream(url));
    await body.next();
    await clock.advance(8_999);
    responses[0]?.write('two');
    expect(String(Buffer.from((await body.next()).value))).toBe('two');
    await clock.advance(1);
    expect(await failureOf(body.next())).toMatchObject({ code: 'WP_DEADLINE' });
  });

  it('rejects with the status', async () => {
    const { url } = await serve((_, res) => void res.writeHead(401).end('no'));
    expect(await failureOf(poolOf().stream(url))).toMatchObject({ code: 'WP_HTTP_STATUS', status: 401, body: 'no' });
  });

  it('never ends short: what came before the break comes first', async () => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n';
    const chunked = 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n';
    for (const bytes of [`${head}12345`, chunked]) {
      const url = await serveBytes((socket) => socket.end(bytes));
      const { body } = await poolOf().stream(url);
      expect(Buffer.from((await body.next()).value).toString()).toBe('12345');
      const details = { phase: 'responding', kind: 'reset' };
      expect(await failureOf(body.next())).toMatchObject({ code: 'WP_HTTP_FAILED', details });
    }
  });

  it('holds the service back while nobody reads, and does not take that for silence', async () => {
    const clock = createFakeClock();
    let taken = 0;
    const { url } = await serve(async (_, res) => {
      for (; taken < 400 && !res.destroyed; taken++) {
        if (!res.write(Buffer.alloc(65_536))) await new Promise((resolve) => res.once('drain', resolve));
      }
      res.end();
    });
    const { body } = await poolOf({ clock, bodyTimeout: '1s' }).stream(url);
    await clock.settle();
    await clock.advance(10_000);
    expect(taken).toBeLessThan(300);
    let bytes = 0;
    for await (const chunk of body) bytes += chunk.length;
    expect(bytes).toBe(400 * 65_536);
    expect(clock.pending).toBe(0);
  });

  it('hears its signal to the end', async () => {
    const { url, responses } = await writing();
    const caller = new AbortController();
    const { body } = await poolOf().stream(url, { signal: caller.signal });
    await body.next();
    const next = failureOf(body.next());
    const left = new Error('left');
    caller.abort(left);
    expect(await next).toBe(left);
    expect(await failureOf(body.next())).toBe(left);
    await until(() => responses[0]?.destroyed === true);
    expect(getEventListeners(caller.signal, 'abort').length).toBe(0);
  });

  it('gives nothing more once its signal is aborted, not even what has come', async () => {
    const { url } = await writing();
    const caller = new AbortController();
    const { body } = await poolOf().stream(url, { signal: caller.signal });
    await new Promise((resolve) => setImmediate(resolve));
    caller.abort();
    expect(await failureOf(body.next())).toBe(caller.signal.reason);
  });

  it('has its timeout up to the headers, and the deadline of its context to the end', async () => {
    const clock = createFakeClock();
    const { url } = await writing();
    const pool = poolOf({ clock });
    const { body } = await runInContext({ deadline: 500 }, () => pool.stream(url, { timeout: 100 }));
    await clock.advance(499);
    await body.next();
    const next = failureOf(body.next());
    await clock.advance(1);
    expect(await next).toMatchObject({ code: 'WP_DEADLINE', details: { phase: 'responding', timeoutMs: 500 } });
    expect(clock.pending).toBe(0);
  });

  it('takes an empty body for empty, whatever its headers say of how it is packed', async () => {
    const { url } = await serve((req, res) => void res.writeHead(Number(req.url?.slice(1)), packing).end());
    const packing = { 'content-encoding': 'gzip' };
    for (const path of ['/200', '/204', '/304']) {
      expect(await read((await poolOf({ baseUrl: url }).stream(path)).body)).toBe('');
    }
  });

  it('unpacks as it goes, tells of damage, and lets go of what is left early', async () => {
    let hung: ServerResponse | undefined;
    const { url } = await serve((req, res) => {
      res.setHeader('content-encoding', 'gzip');
      if (req.url === '/whole') res.end(gzipSync('packed'));
      else if (req.url === '/cut') res.end(gzipSync('x'.repeat(999)).subarray(0, 20));
      else {
        hung = res;
        const gzip = createGzip();
        gzip.pipe(res);
        gzip.write('begun');
        gzip.flush();
      }
    });
    const pool = poolOf({ baseUrl: url });
    expect(await read((await pool.stream('/whole')).body)).toBe('packed');
    expect(await failureOf(read((await pool.stream('/cut')).body))).toMatchObject({ code: 'WP_HTTP_FAILED' });
    for await (const chunk of (await pool.stream('/hang')).body) {
      expect(Buffer.from(chunk).toString()).toBe('begun');
      break;
    }
    await until(() => hung?.destroyed === true);
    await (await pool.stream('/hang')).body.return?.();
    await until(() => hung?.destroyed === true && pool.stats().inFlight === 0);
  });
});
