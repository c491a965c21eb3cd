import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import zlib, { brotliDecompressSync, createBrotliDecompress, createGunzip, gunzipSync } from 'node:zlib';
import type { RequestHandler, Response } from 'express';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { serve } from '../test/serve.js';
import { gzip } from './gzip.js';

function served(route: RequestHandler): Promise<string> {
  return serve((app) => {
    app.use(gzip());
    app.all('/', route);
  });
}

/** The answer as it goes over the wire: fetch would unpack it. */
async function ask(url: string, encoding = 'gzip', options: RequestOptions = {}): Promise<IncomingMessage> {
  const client = request(url, { ...options, headers: { 'accept-encoding': encoding, ...options.headers } });
  client.end();
  const [answer] = (await once(client, 'response')) as [IncomingMessage];
  return answer;
}

async function bodyOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const long = { text: 'the quick brown fox '.repeat(200) };
const json: RequestHandler = (_req, res) => {
  res.json(long);
};

describe('gzip() and whole answers', () => {
  it.each([
    ['gzip', 'gzip', gunzipSync],
    ['br', 'br', brotliDecompressSync],
    ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
    ['br;q=0.2, gzip;q=0.8', 'gzip', gunzipSync],
    ['deflate', 'deflate', zlib.inflateSync],
  ] as const)('compresses for a client that accepts %s with %s', async (accepted, used, unpack) => {
    const answer = await ask(await served(json), accepted);
    const body = await bodyOf(answer);
    expect(answer.headers).toMatchObject({ 'content-encoding': used, vary: 'Accept-Encoding' });
    expect(answer.headers['content-length']).toBeUndefined();
    expect(body.length).toBeLessThan(500);
    expect(JSON.parse(unpack(body).toString())).toEqual(long);
  });

  it.each(['identity', '', 'gzip;q=0', 'zstd'])(
    'sends the body as it is to a client that accepts %j',
    async (accepted) => {
      const answer = await ask(await served(json), accepted);
      expect(answer.headers['content-encoding']).toBeUndefined();
      expect(answer.headers.vary).toBe('Accept-Encoding');
      expect(JSON.parse((await bodyOf(answer)).toString())).toEqual(long);
    },
  );

  it('leaves a small body alone, and still says that the answer varies', async () => {
    const answer = await ask(await served((_req, res) => void res.json({ ok: true })));
    expect(answer.headers).toMatchObject({ 'content-length': '11', vary: 'Accept-Encoding' });
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect((await bodyOf(answer)).toString()).toBe('{"ok":true}');
  });

  it.each([
    ['what is compressed already', { 'content-type': 'text/plain', 'content-encoding': 'x-own' }],
    ['pictures', { 'content-type': 'image/png' }],
    ['what must not be transformed', { 'content-type': 'text/plain', 'cache-control': 'no-transform' }],
    [
      'parts of an answer, whose range counts plain bytes',
      { 'content-type': 'text/plain', 'content-range': 'bytes 0-1/2' },
    ],
    ['event streams', { 'content-type': 'text/event-stream' }],
    ['NDJSON', { 'content-type': 'application/x-ndjson; charset=utf-8' }],
  ])('leaves %s alone', async (_name, headers) => {
    const body = 'x'.repeat(5_000);
    const url = await served((_req, res) => {
      res.writeHead(200, headers).end(body);
    });
    const answer = await ask(url, 'br, gzip');
    expect(answer.headers['content-encoding']).toBe('content-encoding' in headers ? 'x-own' : undefined);
    expect((await bodyOf(answer)).toString()).toBe(body);
  });

  it('sends a range of a file as it is', async () => {
    const url = await served((_req, res) => {
      res.type('text/plain').sendFile(fileURLToPath(import.meta.url), { dotfiles: 'allow' });
    });
    const part = await ask(url, 'gzip', { headers: { range: 'bytes=0-1999' } });
    expect([part.statusCode, part.headers['content-encoding']]).toEqual([206, undefined]);
    expect((await bodyOf(part)).length).toBe(2_000);
    const whole = await ask(url, 'gzip');
    expect([whole.statusCode, whole.headers['content-encoding']]).toEqual([200, 'gzip']);
    expect(gunzipSync(await bodyOf(whole)).toString()).toContain('sends a range of a file as it is');
  });

  it('answers HEAD without a body and with the length of the plain one', async () => {
    const answer = await ask(await served(json), 'gzip', { method: 'HEAD' });
    expect(answer.headers).toMatchObject({
      vary: 'Accept-Encoding',
      'content-length': `${JSON.stringify(long).length}`,
    });
    expect(answer.headers['content-encoding']).toBeUndefined();
    expect((await bodyOf(answer)).length).toBe(0);
  });

  it.each([204, 304])('leaves %d without a body and without an encoding', async (status) => {
    const answer = await ask(await served((_req, res) => void res.status(status).end()));
    expect([answer.statusCode, answer.headers['content-encoding']]).toEqual([status, undefined]);
    expect((await bodyOf(answer)).length).toBe(0);
  });

  it('keeps the ETag of the plain body, which is weak, so that either form can be asked for again', async () => {
    const url = await served(json);
    const [packed, plain] = [await ask(url, 'gzip'), await ask(url, 'identity')];
    await Promise.all([bodyOf(packed), bodyOf(plain)]);
    const { etag } = packed.headers;
    expect(etag).toMatch(/^W\//);
    expect(plain.headers.etag).toBe(etag);
    const again = await ask(url, 'gzip', { headers: { 'if-none-match': `${etag}` } });
    expect([again.statusCode, again.headers['content-encoding'], again.headers.etag]).toEqual([304, undefined, etag]);
    expect((await bodyOf(again)).length).toBe(0);
  });
});

describe('gzip() and streams', () => {
  it.each([
    ['gzip', createGunzip],
    ['br', createBrotliDecompress],
  ] as const)('lets each chunk of a stream through at once, compressed with %s', async (encoding, unpacker) => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const url = await served(async (_req, res) => {
      res.type('text/plain');
      res.write('one;');
      await gates[0]?.promise;
      res.write('two;');
      await gates[1]?.promise;
      res.end('three;');
    });
    const answer = await ask(url, encoding);
    expect(answer.headers['content-encoding']).toBe(encoding);
    const unpacked = answer.pipe(unpacker());
    let text = '';
    const until = async (end: string): Promise<void> => {
      while (!text.endsWith(end)) text += (await once(unpacked, 'data'))[0];
    };
    await until('one;'); // only what has been let through can end this wait: the gate opens after it
    gates[0]?.resolve();
    await until('two;');
    gates[1]?.resolve();
    await until('three;');
    expect(text).toBe('one;two;three;');
  });

  it.each(['text/event-stream', 'text/event-stream; charset=utf-8', 'application/x-ndjson'])(
    'lets each chunk of %s through at once, uncompressed',
    async (type) => {
      const gate = Promise.withResolvers<void>();
      const url = await served(async (_req, res) => {
        res.setHeader('Content-Type', type);
        res.write('data: one\n\n');
        await gate.promise;
        res.end('data: two\n\n');
      });
      const answer = await ask(url, 'gzip, br');
      expect(answer.headers['content-encoding']).toBeUndefined();
      expect(String((await once(answer, 'data'))[0])).toBe('data: one\n\n');
      gate.resolve();
      expect(String((await once(answer, 'data'))[0])).toBe('data: two\n\n');
    },
  );

  it('holds a source back while the client does not read, and loses nothing', async () => {
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<Response>();
    const chunkBytes = 65_536;
    const most = 256; // 16 MiB that cannot be compressed: more than the buffers of both sides together
    let produced = 0;
    const url = await served(async (_req, res) => {
      res.type('text/plain');
      arrive(res);
      await pipeline(async function* () {
        while (produced++ < most) yield randomBytes(chunkBytes);
      }, res);
    });
    const answer = await ask(url);
    answer.pause();
    const res = await arrived;
    await untilStill(
      () => res.writableNeedDrain,
      () => produced,
    );
    expect(produced).toBeLessThan(most);
    let received = 0;
    for await (const part of answer.pipe(createGunzip())) received += part.length;
    expect(received).toBe(most * chunkBytes);
  });
});

/** Waits until a state holds and a count has stood still for many turns of the event loop. */
async function untilStill(holds: () => boolean, count: () => number): Promise<void> {
  let seen = -1;
  for (let still = 0; still < 300; still++) {
    await new Promise((resolve) => setImmediate(resolve));
    if (!holds() || count() !== seen) still = 0;
    seen = count();
  }
}

describe('gzip() and the callbacks of write and end', () => {
  it.each(['gzip', 'identity'])('calls them all, in order, with %s', async (encoding) => {
    const called: string[] = [];
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const url = await served(async (_req, res) => {
      res.type('text/plain');
      await new Promise<void>((resolve) => res.write('a', () => resolve()));
      called.push('a');
      await new Promise<void>((resolve) => res.write('62', 'hex', () => resolve()));
      called.push('b');
      res.write(new Uint8Array([99]));
      const same = res.end(() => {
        called.push('end');
        end();
      });
      called.push(`returns the response: ${same === res}`);
    });
    const answer = await ask(url, encoding);
    const body = await bodyOf(answer);
    await ended;
    expect((encoding === 'gzip' ? gunzipSync(body) : body).toString()).toBe('abc');
    expect(called).toEqual(['a', 'b', 'returns the response: true', 'end']);
  });

  it.each([
    ['end(chunk, callback)', (res: Response, done: () => void) => res.end('body', done)],
    ['end(chunk, encoding, callback)', (res: Response, done: () => void) => res.end('626f6479', 'hex', done)],
    ['write(chunk) and end(callback)', (res: Response, done: () => void) => res.write('body') && res.end(done)],
  ])('takes %s', async (_name, answerWith) => {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const answer = await ask(await served((_req, res) => void answerWith(res.type('text/plain'), end)), 'identity');
    expect((await bodyOf(answer)).toString()).toBe('body');
    await ended;
  });

  it.each(['gzip', 'identity'])('tells a route that waits when the client leaves, with %s', async (encoding) => {
    const { promise: outcome, resolve: tell } = Promise.withResolvers<unknown[]>();
    const url = await served(async (_req, res) => {
      res.type('text/plain');
      const write = () => new Promise<unknown>((resolve) => res.write('x'.repeat(65_536), resolve));
      let error: unknown;
      while (!error) error = await write();
      if (!res.closed) await once(res, 'close');
      tell([error, await write()]);
    });
    const answer = await ask(url, encoding);
    await once(answer, 'data');
    answer.destroy();
    expect(await outcome).toEqual([expect.any(Error), expect.any(Error)]);
  });

  it.each(['gzip', 'identity'])('tells a route that writes just as the connection goes, with %s', async (encoding) => {
    const { promise: outcome, resolve: tell } = Promise.withResolvers<unknown>();
    const url = await served((_req, res) => {
      res.type('text/plain').write('one');
      res.socket?.destroy(); // the response closes only after this turn: Node itself would keep the callback for ever
      res.write('two', tell);
    });
    const client = request(url, { headers: { 'accept-encoding': encoding } }).on('error', () => {});
    client.end();
    expect(await outcome).toBeInstanceOf(Error);
  });
});

describe('gzip() and clients that leave', () => {
  it('leaves no compressor behind after 200 aborts', async () => {
    const made: (zlib.Gzip & { _handle?: unknown })[] = [];
    const { createGzip } = zlib;
    const spy = vi.spyOn(zlib, 'createGzip').mockImplementation((options) => {
      const stream = createGzip(options);
      made.push(stream);
      return stream;
    });
    onTestFinished(() => spy.mockRestore());
    const closed: Promise<unknown>[] = [];
    const url = await served((_req, res) => {
      closed.push(once(res, 'close'));
      res.type('text/plain').write('the first of many');
    });
    const answers = await Promise.all(
      Array.from({ length: 200 }, async () => {
        const answer = await ask(url);
        await once(answer, 'data');
        return answer;
      }),
    );
    const alive = () => made.filter((stream) => !stream.destroyed || stream._handle);
    expect(alive()).toHaveLength(200);
    for (const answer of answers) answer.destroy();
    await Promise.all(closed);
    for (let turn = 0; alive().length > 0 && turn < 1_000; turn++)
      await new Promise((resolve) => setImmediate(resolve));
    expect(alive()).toEqual([]);
  });

  it('makes no compressor for a client that had left before the answer', async () => {
    const spy = vi.spyOn(zlib, 'createGzip');
    onTestFinished(() => spy.mockRestore());
    const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>();
    const { promise: answered, resolve: finish } = Promise.withResolvers<void>();
    const url = await served(async (_req, res) => {
      arrive();
      await once(res, 'close');
      res.json(long);
      finish();
    });
    const client = request(url, { headers: { 'accept-encoding': 'gzip' } }).on('error', () => {});
    client.end();
    await arrived;
    client.destroy();
    await answered;
    for (const { value } of spy.mock.results) expect((value as zlib.Gzip).destroyed).toBe(true);
  });
});
