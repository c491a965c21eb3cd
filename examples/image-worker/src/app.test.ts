import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Logger } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { type ModelServer, type ModelServerOptions, startModelServer } from '@warmpath/core/testing';
import sharp, { type Sharp } from 'sharp';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createApp, listen } from './app.js';
import type { WorkerConfig } from './config.js';
import type { ImageAnswer } from './images.controller.js';

const maxImageBytes = 400_000;
let app: NestExpressApplication | undefined;
let models: ModelServer | undefined;
let origin = '';
let warnings: string[] = [];
let errors: unknown[] = [];

beforeEach(() => {
  warnings = [];
  errors = [];
  vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void warnings.push(String(message)));
  vi.spyOn(Logger.prototype, 'error').mockImplementation((message: unknown) => void errors.push(message));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await app?.close();
  await models?.close();
  models = undefined;
});

const defaults: WorkerConfig = {
  port: 0,
  host: '127.0.0.1',
  maxImageBytes,
  maxUploads: 16,
  vision: undefined,
  cacheFile: undefined,
  redisUrl: undefined,
};

async function start(config: Partial<WorkerConfig> = {}): Promise<void> {
  const whole = { ...defaults, ...config };
  app = await createApp(whole);
  origin = await listen(app, whole);
}

async function startWithModel(options: ModelServerOptions = {}): Promise<ModelServer> {
  models = await startModelServer({ reply: 'A red field under a grey sky.', ...options });
  await start({ vision: { baseUrl: models.ollamaUrl, model: 'llava' } });
  return models;
}

const red = { r: 200, g: 30, b: 30 };
const picture = (width = 1_600, height = 1_200): Sharp =>
  sharp({ create: { width, height, channels: 3, background: red } });
const noise = (width: number, height: number): Sharp =>
  sharp({ create: { width, height, channels: 3, background: red, noise: { type: 'gaussian', mean: 128, sigma: 60 } } });

function post(body: RequestInit['body'], type?: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${origin}/images`, {
    method: 'POST',
    body: body ?? null,
    headers: { ...(type ? { 'content-type': type } : {}), ...headers },
  });
}

interface VisionRequest {
  readonly model: string;
  readonly messages: readonly { readonly images: readonly string[] }[];
}

const asBody = (bytes: Buffer): Uint8Array<ArrayBuffer> => new Uint8Array(bytes);

async function upload(bytes: Buffer, type = 'image/jpeg'): Promise<ImageAnswer> {
  const answer = await post(asBody(bytes), type);
  expect(answer.status).toBe(201);
  return (await answer.json()) as ImageAnswer;
}

function form(bytes: Buffer, field = 'image'): FormData {
  const data = new FormData();
  data.set(field, new Blob([asBody(bytes)], { type: 'image/png' }), 'picture.png');
  return data;
}

describe('an upload', () => {
  it('is resized, gets a thumbnail, its metadata and a caption', async () => {
    await start();
    const bytes = await picture().jpeg().toBuffer();
    const answer = await upload(bytes);
    const id = createHash('sha256').update(bytes).digest('hex');
    expect(answer).toEqual({
      id,
      metadata: {
        format: 'jpeg',
        width: 1_600,
        height: 1_200,
        bytes: bytes.length,
        channels: 3,
        space: 'srgb',
        hasAlpha: false,
        frames: 1,
      },
      thumbnail: { width: 128, height: 96, bytes: expect.any(Number), url: `/images/${id}/thumbnail` },
      resized: { width: 1_024, height: 768, bytes: expect.any(Number), url: `/images/${id}/resized` },
      caption: {
        text: 'A landscape image of 1600 × 1200 pixels, mostly red, dim and almost without detail.',
        source: 'measured',
        cached: false,
      },
    });
    for (const rendition of ['thumbnail', 'resized'] as const) {
      const served = await fetch(origin + answer[rendition].url);
      expect(served.headers.get('content-type')).toBe('image/webp');
      expect(served.headers.get('cache-control')).toContain('immutable');
      const data = Buffer.from(await served.arrayBuffer());
      expect(data.length).toBe(answer[rendition].bytes);
      expect(await sharp(data).metadata()).toMatchObject({
        format: 'webp',
        width: answer[rendition].width,
        height: answer[rendition].height,
      });
    }
  });

  it('gets the caption of the same bytes from the cache, also as a form', async () => {
    await start();
    const bytes = await picture().png().toBuffer();
    const first = await upload(bytes, 'image/png');
    const again = (await (await post(form(bytes))).json()) as ImageAnswer;
    expect([first.caption.cached, again.caption.cached]).toEqual([false, true]);
    expect(again).toEqual({ ...first, caption: { ...first.caption, cached: true } });
    const other = await upload(await picture(300, 300).png().toBuffer(), 'image/png');
    expect(other.caption.cached).toBe(false);
  });

  it.each(['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff'] as const)('may be a %s', async (format) => {
    await start();
    const image = sharp({ create: { width: 60, height: 90, channels: 4, background: { ...red, alpha: 0.4 } } });
    const { metadata, resized, caption } = await upload(await image.toFormat(format).toBuffer(), `image/${format}`);
    expect(metadata).toMatchObject({ format, width: 60, height: 90 });
    expect(resized).toMatchObject({ width: 60, height: 90 });
    const transparent = ['png', 'webp', 'avif', 'gif'].includes(format);
    expect(caption.text.includes('partly transparent')).toBe(transparent);
  });

  it('may be animated or lie on its side', async () => {
    await start();
    const frames = [red, { r: 0, g: 0, b: 255 }].map((background) =>
      sharp({ create: { width: 20, height: 20, channels: 3, background } })
        .png()
        .toBuffer(),
    );
    const animated = await sharp(await Promise.all(frames), { join: { animated: true } })
      .gif()
      .toBuffer();
    expect((await upload(animated, 'image/gif')).caption.text).toContain('animation of 2 frames of 20 × 20');
    const turned = await picture(90, 60).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    expect(await upload(turned)).toMatchObject({
      metadata: { width: 60, height: 90 },
      resized: { width: 60, height: 90 },
    });
  });
});

describe('uploads at the same time', () => {
  type Operation = 'metadata' | 'stats' | 'toBuffer';

  /** Every operation of sharp waits, once begun, until the gate opens; `begun` says which have. */
  function holdSharp(): { readonly begun: Operation[]; open(): void } {
    const gate = Promise.withResolvers<void>();
    const begun: Operation[] = [];
    const prototype: Pick<Sharp, Operation> = sharp.prototype;
    for (const name of ['metadata', 'stats', 'toBuffer'] as const) {
      const original = prototype[name] as (...args: unknown[]) => Promise<unknown>;
      vi.spyOn(prototype, name).mockImplementation(async function held(this: Sharp, ...args: unknown[]) {
        begun.push(name);
        await gate.promise;
        return original.apply(this, args);
      } as never);
    }
    return { begun, open: gate.resolve };
  }

  it('the resized image, the thumbnail, the metadata and the measurements are all begun before any is done', async () => {
    await start();
    const bytes = await picture(300, 200).jpeg().toBuffer();
    const { begun, open } = holdSharp();
    const answer = upload(bytes);
    await expect.poll(() => begun.length).toBe(4);
    expect(begun.toSorted()).toEqual(['metadata', 'stats', 'toBuffer', 'toBuffer']);
    open();
    expect((await answer).resized).toMatchObject({ width: 300, height: 200 });
  });

  it('are refused when too many are under way, with the time to come back, and taken again after that', async () => {
    await start({ maxUploads: 2 });
    const bytes = await picture(30, 20).jpeg().toBuffer();
    const { begun, open } = holdSharp();
    const taken = [upload(bytes), upload(bytes)];
    await expect.poll(() => begun.length).toBe(8);
    const refused = await post(asBody(bytes), 'image/jpeg');
    expect(refused.status).toBe(503);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toEqual({
      type: 'about:blank',
      title: 'Service unavailable',
      status: 503,
      detail: 'The worker has as many uploads as it takes at once. Try again in a moment.',
    });
    expect(warnings).toEqual([
      expect.stringMatching(
        /^POST \/images was refused with 503: of 2 uploads 2 are under way, of 8 operations \d wait\.$/,
      ),
    ]);
    expect((await fetch(`${origin}/images/unknown/thumbnail`)).status).toBe(404); // to look is free
    open();
    await Promise.all(taken);
    expect((await upload(bytes)).metadata.width).toBe(30);
  });

  it('count from their first byte, until their client has gone', async () => {
    await start({ maxUploads: 1 });
    const bytes = await picture(30, 20).jpeg().toBuffer();
    const slow = request(`${origin}/images`, { method: 'POST', headers: { 'content-type': 'image/jpeg' } });
    slow.on('error', () => {});
    slow.write(bytes.subarray(0, 10));
    await expect.poll(async () => (await post(asBody(bytes), 'image/jpeg')).status).toBe(503);
    slow.destroy();
    await expect.poll(async () => (await post(asBody(bytes), 'image/jpeg')).status).toBe(201);
  });

  it('are refused while what others have left behind is still being worked on', async () => {
    await start({ maxUploads: 2 });
    const bytes = await picture(30, 20).jpeg().toBuffer();
    const counters = vi.spyOn(sharp, 'counters').mockReturnValue({ queue: 9, process: 4 });
    expect((await post(asBody(bytes), 'image/jpeg')).status).toBe(503);
    counters.mockReturnValue({ queue: 8, process: 4 });
    expect((await post(asBody(bytes), 'image/jpeg')).status).toBe(201);
  });
});

describe('a refused upload', () => {
  async function refusal(answer: Response): Promise<Record<string, unknown>> {
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    return (await answer.json()) as Record<string, unknown>;
  }

  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
  const oneFile = (fault: string): RegExp => new RegExp(`^${fault}\\. Send one file in the field 'image'\\.$`);
  const twoFiles = (): FormData => {
    const data = form(Buffer.from('one'));
    data.append('image', new Blob(['two']), 'second.png');
    return data;
  };
  const longText = (): FormData => {
    const data = form(Buffer.from('one'));
    data.set('note', 'x'.repeat(2_000));
    return data;
  };
  const cases: readonly [string, () => Promise<Response>, number, RegExp][] = [
    ['no body', () => post(undefined), 400, /^There is no image\. Send one as the body/],
    ['an empty body', () => post('', 'image/png'), 400, /^There is no image\. Send one as the body/],
    [
      'a form without the field',
      () => post(new FormData()),
      400,
      /^The form has no image\. Send a file in the field 'image'\.$/,
    ],
    [
      'a form with another field',
      async () => post(form(await picture().png().toBuffer(), 'photo')),
      400,
      oneFile("The form has a file in the field 'photo'"),
    ],
    ['a form with two files', () => post(twoFiles()), 400, oneFile('The form has more than one file')],
    ['a form with a long text', () => post(longText()), 400, oneFile('The form has more than a file')],
    [
      'a broken form',
      () => post('--x\r\n', 'multipart/form-data; boundary=x'),
      400,
      oneFile('The form is incomplete or damaged'),
    ],
    [
      'a form without a boundary',
      () => post('x', 'multipart/form-data'),
      400,
      oneFile('The form is incomplete or damaged'),
    ],
    [
      'a body that is packed wrongly',
      () => post('x', 'image/png', { 'content-encoding': 'gzip' }),
      400,
      /^The body is not the gzip that its Content-Encoding promises\./,
    ],
    ['JSON', () => post('{"image":1}', 'application/json'), 415, /^A body of type application\/json is no image/],
    ['text that says it is an image', () => post('hello', 'image/png'), 415, /^What came is not a JPEG, PNG/],
    ['text in a form', () => post(form(Buffer.from('hello'))), 415, /^What came is not a JPEG, PNG/],
    ['an SVG', () => post(svg, 'image/svg+xml'), 415, /^What came is not a JPEG, PNG/],
    [
      'a truncated JPEG',
      async () => post(asBody((await noise(200, 200).jpeg().toBuffer()).subarray(0, 6_000)), 'image/jpeg'),
      422,
      /^The image is damaged or incomplete: .+\.$/,
    ],
    [
      'a truncated PNG',
      async () => post(asBody((await noise(200, 200).png().toBuffer()).subarray(0, 6_000)), 'image/png'),
      422,
      /^The image is damaged or incomplete: .+\.$/,
    ],
    [
      'too many bytes',
      async () => post(asBody(await noise(700, 700).png().toBuffer()), 'image/png'),
      413,
      /^An image may have at most 400000 bytes\.$/,
    ],
    [
      'too many bytes in a form',
      async () => post(form(await noise(700, 700).png().toBuffer())),
      413,
      /^An image may have at most 400000 bytes\.$/,
    ],
    [
      'a small file that unpacks to too many pixels',
      async () => post(asBody(await picture(7_200, 7_200).webp({ effort: 0 }).toBuffer()), 'image/webp'),
      413,
      /^An image may have at most 50 million pixels\.$/,
    ],
  ];

  it.each(cases)('with %s gets a problem document, and the log says why, once', async (_name, send, status, detail) => {
    await start();
    const answer = await send();
    expect(answer.status).toBe(status);
    expect(await refusal(answer)).toEqual({
      type: 'about:blank',
      title: expect.any(String),
      status,
      detail: expect.stringMatching(detail),
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(new RegExp(`^POST /images was refused with ${status}: `));
    expect(errors).toEqual([]);
    expect((await upload(await picture(20, 20).jpeg().toBuffer())).metadata.width).toBe(20); // it goes on working
  });

  it('that the client breaks off does no harm', async () => {
    await start();
    const client = request(`${origin}/images`, {
      method: 'POST',
      headers: { 'content-type': 'image/png', 'content-length': 100_000 },
    });
    const broken = new Promise((resolve) => client.once('error', resolve));
    client.write(Buffer.alloc(1_000), () => client.destroy());
    await broken;
    expect((await upload(await picture(20, 20).jpeg().toBuffer())).metadata.width).toBe(20);
    expect(errors).toEqual([]);
  });

  it('is unknown under every id, and so is what has never come', async () => {
    await start();
    const answer = await fetch(`${origin}/images/${'0'.repeat(64)}/thumbnail`);
    expect(answer.status).toBe(404);
    expect(await refusal(answer)).toMatchObject({ status: 404, title: 'Not found' });
    expect((await refusal(await fetch(`${origin}/elsewhere`))).status).toBe(404);
    expect(warnings).toEqual([]); // no upload was refused
  });

  it.each([
    ['GET', '/images', 'POST'],
    ['DELETE', '/images', 'POST'],
    ['POST', '/images/0/thumbnail', 'GET, HEAD'],
    ['PUT', '/images/0/resized', 'GET, HEAD'],
    ['GET', '/images/0', 'DELETE'],
    ['PATCH', '/images/0', 'DELETE'],
  ])('by %s %s learns which method does something there', async (method, path, allowed) => {
    await start();
    const answer = await fetch(`${origin}${path}`, { method });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, allowed]);
    expect(await refusal(answer)).toMatchObject({ status: 405, title: 'Method not allowed' });
    expect(warnings).toEqual([]);
  });
});

describe('DELETE /images/:id', () => {
  const forget = (id: string): Promise<Response> => fetch(`${origin}/images/${id}`, { method: 'DELETE' });
  const statusOf = async (path: string): Promise<number> => (await fetch(origin + path)).status;

  it('forgets the image, its renditions and its caption, and nothing else', async () => {
    const server = await startWithModel();
    const bytes = await picture().jpeg().toBuffer();
    const { id, thumbnail, resized } = await upload(bytes);
    const other = await upload(await picture(300, 300).jpeg().toBuffer());
    const answer = await forget(id);
    expect([answer.status, await answer.text()]).toEqual([204, '']);
    for (const { url } of [thumbnail, resized]) expect(await statusOf(url)).toBe(404);
    for (const { url } of [other.thumbnail, other.resized]) expect(await statusOf(url)).toBe(200);
    expect((await upload(bytes)).caption).toEqual({
      text: 'A red field under a grey sky.',
      source: 'model',
      cached: false,
    });
    expect(server.requests).toHaveLength(3);
  });

  it('may be said twice, and of an image that is not here', async () => {
    await start();
    const id = createHash('sha256').update('never seen').digest('hex');
    expect([(await forget(id)).status, (await forget(id)).status]).toEqual([204, 204]);
  });

  it.each(['0', 'A'.repeat(64), `${'a'.repeat(64)}0`, '..%2f..%2fetc'])('refuses %s, which is no id', async (id) => {
    await start();
    const answer = await forget(id);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await answer.json()).toEqual({
      type: 'about:blank',
      title: 'Bad request',
      status: 400,
      detail: expect.stringMatching(/^'.{1,80}' is no image's id: those have 64 hexadecimal digits, and come with/),
    });
    expect([warnings, errors]).toEqual([[], []]);
  });
});

describe('captions in a file', () => {
  let folder = '';
  let cacheFile = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'warmpath-worker-'));
    cacheFile = join(folder, 'captions.sqlite');
  });
  afterEach(async () => {
    await app?.close(); // before its file is gone
    rmSync(folder, { recursive: true });
  });

  const restart = async (model?: ModelServer): Promise<void> => {
    await app?.close();
    await start({ cacheFile, vision: model && { baseUrl: model.ollamaUrl, model: 'llava' } });
  };

  it('survive a restart: the same words, and the model is not asked again', async () => {
    models = await startModelServer({ reply: 'A red field under a grey sky.' });
    const bytes = await picture().jpeg().toBuffer();
    await restart(models);
    const { caption } = await upload(bytes);
    await restart(models);
    models.fail({ status: 500, times: 10 });
    expect((await upload(bytes)).caption).toEqual({ ...caption, cached: true });
    expect(models.requests).toHaveLength(1);
    await app?.close();
    expect(readdirSync(folder)).toEqual(['.captions.sqlite.lock', 'captions.sqlite']); // no log is left to be taken in
  });

  it('are forgotten there, too', async () => {
    const bytes = await picture().jpeg().toBuffer();
    await restart();
    const { id } = await upload(bytes);
    await restart();
    expect((await fetch(`${origin}/images/${id}`, { method: 'DELETE' })).status).toBe(204);
    await restart();
    expect((await upload(bytes)).caption.cached).toBe(false);
  });

  it('are forgotten later when another program holds the file, and the answer says so', async () => {
    await restart();
    const bytes = await picture().jpeg().toBuffer();
    const { id } = await upload(bytes);
    const intruder = new DatabaseSync(cacheFile);
    intruder.exec('begin immediate');
    const forgotten = await fetch(`${origin}/images/${id}`, { method: 'DELETE' });
    expect([forgotten.status, await forgotten.text()]).toEqual([202, '']);
    expect((await upload(bytes)).caption.cached).toBe(false);
    intruder.exec('rollback');
    intruder.close();
  });

  it('that is damaged are set aside and said so, and the worker starts', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    const bytes = await picture().jpeg().toBuffer();
    await restart();
    await upload(bytes);
    await app?.close();
    writeFileSync(cacheFile, readFileSync(cacheFile).fill(0x55, 0, 4_096));
    await start({ cacheFile });
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.stringContaining(`${cacheFile}.corrupt-1`), {
      code: 'WARMPATH_SQLITE',
    });
    expect((await upload(bytes)).caption.cached).toBe(false);
    expect((await upload(bytes)).caption.cached).toBe(true);
  });

  it('cannot be kept where there is no folder, which one line says', async () => {
    const nowhere = join(folder, 'nowhere');
    await expect(createApp({ ...defaults, cacheFile: join(nowhere, 'captions.sqlite') })).rejects.toMatchObject({
      name: 'ConfigError',
      message: `CACHE_FILE cannot be used: there is no folder '${nowhere}'; create it first.`,
    });
  });
});

describe('with a vision model', () => {
  it('the model sees the picture and writes the caption, once for the same bytes', async () => {
    const server = await startWithModel();
    const bytes = await picture().jpeg().toBuffer();
    const [first, again] = [await upload(bytes), await upload(bytes)];
    expect(first.caption).toEqual({ text: 'A red field under a grey sky.', source: 'model', cached: false });
    expect(again.caption).toEqual({ ...first.caption, cached: true });
    expect(server.requests).toHaveLength(1);
    const [asked] = server.requests.map(({ body }) => body as VisionRequest);
    expect(asked?.model).toBe('llava');
    const sent = Buffer.from(asked?.messages.at(-1)?.images[0] ?? '', 'base64');
    expect(await sharp(sent).metadata()).toMatchObject({ format: 'jpeg', width: 768, height: 576 });
  });

  it('asks once for uploads of the same bytes at the same time', async () => {
    const server = await startWithModel();
    const bytes = await picture().jpeg().toBuffer();
    const answers = await Promise.all([upload(bytes), upload(bytes), upload(bytes)]);
    expect(new Set(answers.map(({ caption }) => caption.text)).size).toBe(1);
    expect(server.requests).toHaveLength(1);
  });

  it('that refuses, the caption is measured, says so, and is not kept in the place of the model', async () => {
    const server = await startWithModel();
    server.fail({ status: 400 });
    const bytes = await picture().jpeg().toBuffer();
    const away = await upload(bytes);
    expect(away.caption).toMatchObject({ source: 'measured', cached: false });
    expect(warnings).toEqual([expect.stringMatching(/^Captioner\.modelled failed, measured answers instead: .*400/)]);
    const back = await upload(bytes);
    expect(back.caption).toEqual({ text: 'A red field under a grey sky.', source: 'model', cached: false });
  });

  it('that fails again and again, it is left alone, and nobody waits for it', async () => {
    const server = await startWithModel();
    server.fail({ status: 500, times: 9 });
    for (let size = 1; size <= 6; size++) {
      const { caption } = await upload(
        await picture(8 * size, 8)
          .png()
          .toBuffer(),
      );
      expect(caption.source).toBe('measured');
    }
    expect(server.requests).toHaveLength(5);
    expect(warnings).toContainEqual(
      expect.stringMatching(/^The model is left alone for \d+ s: 5 of 5 calls have failed\.$/),
    );
    expect(warnings.at(-1)).toMatch(/^Captioner\.modelled failed, measured answers instead: .*left alone/);
    expect(await (await fetch(`${origin}/performance`)).json()).toMatchObject({
      attempts: { caption: { sent: 5, failures: 5 } },
      breakers: { caption: { state: 'open', opened: 1 } },
    });
  });

  it('that cannot be reached, the caption is measured', async () => {
    await start({ vision: { baseUrl: 'http://127.0.0.1:1', model: 'llava' } });
    const { caption } = await upload(await picture().jpeg().toBuffer());
    expect(caption.source).toBe('measured');
  });

  it('that says nothing, the caption is measured', async () => {
    await startWithModel({ reply: '  ' });
    const { caption } = await upload(await picture().jpeg().toBuffer());
    expect(caption.source).toBe('measured');
  });
});
