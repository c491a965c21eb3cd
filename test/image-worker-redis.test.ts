import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';
import { type ModelServer, startModelServer } from '@warmpath/core/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type ExampleProgram, runExample, startExample } from './example-programs.js';
import { type OwnRedis, startOwnRedis, steadyPort, until, whyNoOwnRedis } from './redis-servers.js';

// The built image worker, in processes of its own, on a real Redis of ours. The vision model is SIMULATED: a server that speaks
// Ollama's protocol and numbers its captions.

const note = whyNoOwnRedis();

let redis: OwnRedis;
beforeAll(async () => {
  if (!note) redis = await startOwnRedis();
});
afterAll(() => redis?.kill());
beforeEach(async ({ skip }) => {
  skip(note !== undefined, note);
  await redis.restart();
});

async function startModel(ttfcMs = 0): Promise<ModelServer> {
  let captions = 0;
  const model = await startModelServer({ reply: () => `Caption ${++captions} of a field.`, ttfcMs });
  onTestFinished(() => model.close());
  return model;
}

function startWorker(model?: ModelServer, url: string = redis.url): Promise<ExampleProgram> {
  return startExample('image-worker', { REDIS_URL: url, ...(model ? { OLLAMA_URL: model.ollamaUrl } : {}) });
}

interface Caption {
  readonly text: string;
  readonly cached: boolean;
}

async function upload({ url }: ExampleProgram, image: Uint8Array): Promise<{ id: string; caption: Caption }> {
  const response = await fetch(`${url}/images`, {
    method: 'POST',
    headers: { 'content-type': 'image/png' },
    body: Buffer.from(image),
  });
  expect(response.status).toBe(201);
  return (await response.json()) as { id: string; caption: Caption };
}

async function forget({ url }: ExampleProgram, id: string): Promise<number> {
  return (await fetch(`${url}/images/${id}`, { method: 'DELETE' })).status;
}

let images = 0;

/** A PNG of one colour, each time another one. */
function newImage(): Uint8Array {
  const side = 16;
  const colour = [images & 255, (images >> 8) & 255, 90];
  images += 40;
  const row = [0, ...Array.from({ length: side }, () => colour).flat()];
  const header = Buffer.from([0, 0, 0, side, 0, 0, 0, side, 8, 2, 0, 0, 0]);
  const pixels = deflateSync(Buffer.from(Array.from({ length: side }, () => row).flat()));
  const signature = Buffer.from('89504e470d0a1a0a', 'hex');
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}

const linesOf = (worker: ExampleProgram, about: RegExp): readonly string[] =>
  worker.printed().filter((line) => about.test(line));

describe('two image workers on one Redis', () => {
  it('share captions: what one has written the other serves, and what one forgets the other has forgotten', async () => {
    const model = await startModel();
    const [one, other] = await Promise.all([startWorker(model), startWorker(model)]);
    expect(one.printed().at(-1)).toContain(`(captions by llava of ${model.ollamaUrl}, kept in Redis at ${redis.url}).`);
    const image = newImage();
    const { id, caption } = await upload(one, image);
    expect(caption).toMatchObject({ text: 'Caption 1 of a field.', cached: false });
    await until('the caption is in Redis', async () => {
      const entries = await redis.command('KEYS', 'image-worker:*:e');
      return Array.isArray(entries) && entries.length > 0;
    });
    for (let again = 0; again < 2; again++) {
      expect((await upload(other, image)).caption).toMatchObject({ text: caption.text, cached: true });
    }
    expect(model.requests).toHaveLength(1);

    expect(await forget(one, id)).toBe(204);
    expect((await upload(other, image)).caption).toMatchObject({ text: 'Caption 2 of a field.', cached: false });
    expect((await upload(one, image)).caption).toMatchObject({ text: 'Caption 2 of a field.', cached: true });
  });

  it('ask the model once for an image that both are given at the same time', async () => {
    const model = await startModel(500);
    const workers = await Promise.all([startWorker(model), startWorker(model)]);
    const image = newImage();
    const answers = await Promise.all(workers.map((worker) => upload(worker, image)));
    expect(answers.map(({ caption }) => caption.text)).toEqual(['Caption 1 of a field.', 'Caption 1 of a field.']);
    expect(model.requests).toHaveLength(1);
  });
});

interface Standing {
  readonly allowed: number;
  readonly refused: number;
  readonly decidedBy: Readonly<Record<string, number>>;
}

async function limiterOf({ url }: ExampleProgram, name: string): Promise<Standing | undefined> {
  const { limiters } = (await (await fetch(`${url}/performance`)).json()) as { limiters: Record<string, Standing> };
  return limiters[name];
}

describe('the limits of two image workers on one Redis', () => {
  it('are one: what a client has uploaded to one it may not upload to the other any more', async () => {
    const workers = await Promise.all([startWorker(), startWorker()]);
    const image = newImage();
    for (const worker of workers) {
      await until('Redis counts its uploads', async () => {
        await upload(worker, image);
        return ((await limiterOf(worker, 'uploads'))?.decidedBy.store ?? 0) > 0;
      });
    }
    const refused = new Set<ExampleProgram>();
    for (let count = 0; count < 300 && refused.size < 2; count++) {
      const worker = workers[count % 2] as ExampleProgram;
      const headers = { 'content-type': 'image/png' };
      const answer = await fetch(`${worker.url}/images`, { method: 'POST', headers, body: Buffer.from(image) });
      if (answer.status === 429) refused.add(worker);
    }
    const standings = await Promise.all(workers.map((worker) => limiterOf(worker, 'uploads')));
    expect(standings.map((standing) => standing?.refused)).toEqual([1, 1]);
    expect(standings.reduce((sum, standing) => sum + (standing?.allowed ?? 0), 0)).toBe(120);
  });
});

describe('Redis that fails', () => {
  it('costs no upload; a deletion is deferred meanwhile; away and back are said once each', async () => {
    const model = await startModel();
    const workers = await Promise.all([startWorker(model), startWorker(model)]);
    const [one, other] = workers;
    const image = newImage();
    const { id, caption } = await upload(one, image);
    await redis.kill();
    expect((await upload(one, image)).caption).toMatchObject({ text: caption.text, cached: true }); // from memory
    for (let count = 0; count < 7; count++) {
      for (const worker of workers) await upload(worker, newImage());
    }
    expect(await forget(one, id)).toBe(202);
    expect((await upload(one, image)).caption.cached).toBe(false);
    for (const worker of workers) await until('it is away', async () => linesOf(worker, /is away/).length === 1);

    await redis.restart();
    for (const worker of workers) await until('it is back', async () => linesOf(worker, /is back/).length === 1);
    await until('captions are shared again', async () => {
      const next = newImage();
      await upload(one, next);
      return (await upload(other, next)).caption.cached;
    });
    for (const worker of workers) expect(linesOf(worker, / for now/)).toHaveLength(1);
  });

  it('and is not there at all, or frozen: the worker starts, works, says so once, and ends when it is told to', async () => {
    const absent = await startWorker(undefined, `redis://user:secret-word@127.0.0.1:${await steadyPort()}`);
    const frozen = await startWorker();
    redis.freeze();
    onTestFinished(() => redis.thaw());
    for (const worker of [absent, frozen]) {
      const image = newImage();
      expect((await upload(worker, image)).caption.cached).toBe(false);
      expect((await upload(worker, image)).caption.cached).toBe(true);
      await until('it is away', async () => linesOf(worker, /is away for now, so captions are kept in/).length === 1);
      const stoppedAt = performance.now();
      worker.child.kill('SIGTERM');
      expect([0, 'SIGTERM']).toContain(await worker.ended);
      expect(performance.now() - stoppedAt).toBeLessThan(4_000);
    }
    expect(absent.printed().join('\n')).not.toContain('secret-word');
  });
});

describe('a REDIS_URL that cannot be meant', () => {
  it.each([
    [
      { REDIS_URL: 'https://me:secret-word@127.0.0.1' },
      "REDIS_URL must be a redis:// or rediss:// address. It begins with 'https://'. Correct it, such as redis://127.0.0.1:6379, or leave it out.",
    ],
    [
      { REDIS_URL: 'redis://127.0.0.1', CACHE_FILE: join('nowhere', 'captions.sqlite') },
      'REDIS_URL and CACHE_FILE are both set, and captions are kept in one place beside memory. Leave one of them out.',
    ],
  ])('such as %o ends the start with one line, before anything listens', async (env, line) => {
    const { ended, printed } = runExample('image-worker', env);
    expect(await ended).toBe(1);
    expect(printed()).toEqual([line]);
  });
});
