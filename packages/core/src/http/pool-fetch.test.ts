import { getEventListeners } from 'node:events';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { failureOf, poolOf, serve, until } from '../../test/http-set-up.js';
import { runInContext, runWithin } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';

type Seen = { method: string; url: string; headers: Record<string, string>; body: string };

async function echo(): Promise<{ readonly url: string; readonly seen: Seen[] }> {
  const seen: Seen[] = [];
  const { url } = await serve(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    seen.push({
      method: req.method ?? '',
      url: req.url ?? '',
      headers: req.headers as Seen['headers'],
      body: Buffer.concat(chunks).toString(),
    });
    const to = new URL(req.url ?? '', 'http://x').searchParams.get('to');
    if (to) res.writeHead(302, { location: to });
    res.end('ok');
  });
  return { url, seen };
}

describe('pool.fetch', () => {
  it('has the time of one attempt for its head, and that of the whole call for its body', async () => {
    const { url } = await serve((_, res) => void res.write('one'));
    const clock = createFakeClock();
    const now = clock.now();
    const bodyOf = async (wholeDeadline: number) => {
      const attempt = { attributes: {}, deadline: clock.now() + 1_000, wholeDeadline };
      const response = await runWithin(attempt, () => poolOf({ clock, bodyTimeout: 0 }).fetch(url));
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      await reader.read();
      return reader;
    };
    const [bounded, endless] = [await bodyOf(now + 9_000), await bodyOf(Number.POSITIVE_INFINITY)];
    let isOpen = true;
    void bounded.closed.catch(() => (isOpen = false));
    await clock.advance(8_999);
    expect(isOpen).toBe(true);
    await clock.advance(1);
    expect(await failureOf(bounded.read())).toMatchObject({ code: 'WP_DEADLINE' });
    expect(clock.pending).toBe(0);
    await endless.cancel();
  });

  it('takes an address, a path, a URL and a Request, with what init adds', async () => {
    const { url, seen } = await echo();
    const pool = poolOf({ baseUrl: `${url}/v1` });
    await pool.fetch('/chat?q=1');
    await pool.fetch(`${url}/a`);
    await pool.fetch(new URL(`${url}/b`));
    await pool.fetch(new Request(`${url}/c`, { method: 'PUT', body: 'text', headers: { 'x-a': '1' } }));
    const response = await pool.fetch(new Request(`${url}/d`), { method: 'POST', body: 'other' });
    expect([response.ok, response.status, await response.text()]).toEqual([true, 200, 'ok']);
    expect(seen.map(({ method, url: path, body }) => `${method} ${path} ${body}`.trim())).toEqual([
      'GET /v1/chat?q=1',
      'GET /a',
      'GET /b',
      'PUT /c text',
      'POST /d other',
    ]);
    expect(seen[3]?.headers['x-a']).toBe('1');
  });

  it('sends the forms, blobs and streams of the platform', async () => {
    const { url, seen } = await echo();
    const pool = poolOf({ baseUrl: url });
    const form = new FormData();
    form.append('name', 'value');
    form.append('file', new File(['content'], 'a.txt', { type: 'text/plain' }));
    await pool.fetch('/', { method: 'POST', body: form });
    await pool.fetch('/', { method: 'POST', body: new Blob(['blob'], { type: 'text/css' }) });
    await pool.fetch('/', { method: 'POST', body: new Blob(['stream']).stream(), duplex: 'half' });
    await pool.fetch('/', { method: 'POST', body: new URLSearchParams({ a: 'b c' }) });
    expect(seen[0]?.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/);
    expect(seen[0]?.body).toContain('filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ncontent');
    expect(seen.slice(1).map((each) => each.body)).toEqual(['blob', 'stream', 'a=b+c']);
    expect(seen[1]?.headers['content-type']).toBe('text/css');
  });

  it('gives the headers of the service to the service, where the call has none of that name', async () => {
    const { url, seen } = await echo();
    const headers = { Authorization: 'Bearer service', 'x-team': 'search', 'User-Agent': 'ours' };
    const pool = poolOf({ baseUrl: url, headers });
    await pool.fetch('/');
    await pool.fetch('/', { headers: { authorization: 'Bearer call', 'X-TEAM': 'other' } });
    await pool.request('/', { headers: { AUTHORIZATION: 'Bearer call' } });
    expect(
      seen.map((each) => [each.headers.authorization, each.headers['x-team'], each.headers['user-agent']]),
    ).toEqual([
      ['Bearer service', 'search', 'ours'],
      ['Bearer call', 'other', 'ours'],
      ['Bearer call', 'search', 'ours'],
    ]);
  });

  it('asks a function for them each time', async () => {
    const { url, seen } = await echo();
    let asked = 0;
    const pool = poolOf({ baseUrl: url, headers: async () => ({ authorization: `Bearer ${++asked}` }) });
    await pool.fetch('/');
    await pool.request('/');
    for await (const _ of (await pool.stream('/')).body);
    expect(seen.map((each) => each.headers.authorization)).toEqual(['Bearer 1', 'Bearer 2', 'Bearer 3']);
  });

  it.each([undefined, null, 5])('refuses %s from such a function', async (given) => {
    const { url } = await echo();
    const told = { code: 'WP_BAD_OPTION', details: { option: 'headers' } };
    for (const headers of [() => given, async () => given] as never[]) {
      expect(await failureOf(poolOf({ baseUrl: url, headers }).request('/'))).toMatchObject(told);
      expect(await failureOf(poolOf({ baseUrl: url, headers }).fetch('/'))).toMatchObject(told);
    }
  });

  it('rejects with what such a function fails with, and does not wait for it past signal and deadline', async () => {
    const { url, seen } = await echo();
    const lost = new Error('no token');
    const failing = poolOf({ baseUrl: url, headers: () => Promise.reject(lost) });
    expect(await failureOf(failing.request('/'))).toBe(lost);
    expect(await failureOf(failing.fetch('/'))).toBe(lost);
    const left = new Error('left');
    expect(await failureOf(failing.request('/', { signal: AbortSignal.abort(left) }))).toBe(left);
    const clock = createFakeClock();
    const hanging = poolOf({ baseUrl: url, clock, headers: () => new Promise<never>(() => {}) });
    const caller = new AbortController();
    const failures = [
      failureOf(hanging.request('/', { timeout: 100 })),
      failureOf(runInContext({ deadline: 100 }, () => hanging.fetch('/'))),
      failureOf(hanging.fetch('/', { signal: caller.signal })),
    ];
    await clock.advance(100);
    caller.abort(left);
    expect(await Promise.all(failures)).toMatchObject([{ code: 'WP_DEADLINE' }, { code: 'WP_DEADLINE' }, left]);
    expect([seen.length, clock.pending]).toEqual([0, 0]);
  });

  it('leaks nothing of the service to another origin: not when called with one, and not when redirected there', async () => {
    const [ours, other] = [await echo(), await echo()];
    const baseUrl = new URL(ours.url);
    baseUrl.username = 'user';
    baseUrl.password = 'pa:ss';
    const pool = poolOf({ baseUrl, headers: { 'x-key': 's3cret' } });
    await pool.fetch(other.url);
    await pool.request(other.url);
    await pool.fetch(`/?to=${other.url}/redirected`);
    await pool.fetch(`/?to=/here`);
    for (const { headers } of other.seen)
      expect([headers['x-key'], headers.authorization]).toEqual([undefined, undefined]);
    expect(other.seen).toHaveLength(3);
    const authorization = `Basic ${Buffer.from('user:pa:ss').toString('base64')}`;
    expect(ours.seen.map(({ url, headers }) => [url, headers['x-key'], headers.authorization])).toEqual([
      [`/?to=${other.url}/redirected`, 's3cret', authorization],
      ['/?to=/here', 's3cret', authorization],
      ['/here', 's3cret', authorization],
    ]);
  });

  it.each([
    ['http://user:s3cret@127.0.0.1:9/', {}],
    ['nonsense?key=s3cret', {}],
    ['http://127.0.0.1:9/?key=s3cret', { headers: { authorization: 's3cret\n\u0000' } }],
    ['http://127.0.0.1:2/?key=s3cret', { headers: { authorization: 's3cret' } }],
    ['http://127.0.0.1:9/?key=s3cret', { method: 'TRACE', headers: { authorization: 's3cret' } }],
  ])('prints no secret when it refuses or fails: %s', async (url, init) => {
    const pool = poolOf();
    const error = await failureOf(pool.fetch(url, init));
    expect(error).toBeInstanceOf(TypeError);
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('s3cret');
    const ours = await failureOf(pool.request(url, init));
    expect(inspect(ours, { depth: 9, showHidden: true })).not.toContain('s3cret');
  });

  it('quotes no address when a redirect leads nowhere', async () => {
    const { url } = await serve((_, res) => void res.writeHead(302, { location: 'http://[s3cret' }).end());
    const error = await failureOf(poolOf().fetch(`${url}/?key=s3cret`));
    expect(error).toMatchObject({ name: 'TypeError', message: 'fetch failed', cause: expect.any(Error) });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('s3cret');
  });

  it('rejects with the reason of the signal, whatever it is, and leaves no listener', async () => {
    const late: (() => void)[] = [];
    const { url } = await serve((req, res) => {
      if (req.url === '/ok') res.end('ok');
      else res.write('a part');
      if (req.url === '/late') late.push(() => res.end());
    });
    const pool = poolOf({ baseUrl: url });
    const caller = new AbortController();
    const { signal } = caller;
    await (await pool.fetch('/ok', { signal })).text();
    await until(() => pool.stats().inFlight === 0);
    const own = (): number => getEventListeners(signal, 'abort').length;
    expect(own()).toBe(0);
    await failureOf(pool.fetch('http://127.0.0.1:2', { signal }));
    expect(own()).toBe(0);
    const ending = await pool.fetch('/late', { signal });
    expect(own()).toBe(1);
    late[0]?.();
    expect(await ending.text()).toBe('a part');
    expect(own()).toBe(0);
    const response = await pool.fetch('/', { signal });
    expect(own()).toBe(1);
    const text = failureOf(response.text());
    caller.abort('left');
    expect(await text).toBe('left');
    expect(await failureOf(pool.fetch('/', { signal }))).toBe('left');
    await until(() => pool.stats().inFlight === 0);
    expect(own()).toBe(0);
  });

  it('has the signal and the deadline of its context, up to the end of its body', async () => {
    const { url } = await serve((req, res) => {
      if (req.url === '/whole') res.end('ok');
      else if (req.url === '/begun') res.write('a part');
    });
    const clock = createFakeClock();
    const pool = poolOf({ baseUrl: url, clock });
    await runInContext({ deadline: 100 }, async () => {
      await (await pool.fetch('/whole')).text();
      await failureOf(pool.fetch('http://127.0.0.1:2'));
    });
    await until(() => pool.stats().inFlight === 0);
    expect(clock.pending).toBe(0);
    const failures = await runInContext({ deadline: 100 }, async () => [
      failureOf((await pool.fetch('/begun')).text()),
      failureOf(pool.fetch('/')),
    ]);
    await clock.advance(100);
    for (const failure of failures) expect(await failure).toMatchObject({ code: 'WP_DEADLINE' });
    expect(await failureOf(runInContext({ deadline: 100 }, () => pool.fetch('/')))).toMatchObject({
      code: 'WP_DEADLINE',
    });
    await until(() => pool.stats().inFlight === 0);
    expect(clock.pending).toBe(0);
  });

  it('is told when a body stops coming', async () => {
    const { url } = await serve((_, res) => void res.write('a part'));
    const clock = createFakeClock();
    const pool = poolOf({ clock, bodyTimeout: '3s' });
    const text = failureOf((await pool.fetch(url)).text());
    await clock.advance(3_000);
    expect(await text).toMatchObject({
      message: 'terminated',
      cause: { code: 'WP_HTTP_FAILED', details: { kind: 'timeout' } },
    });
  });
});
