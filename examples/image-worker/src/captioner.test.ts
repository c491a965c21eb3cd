import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type INestApplicationContext, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { ChatModel } from '@warmpath/core/models';
import { type SqliteStore, sqliteStore } from '@warmpath/core/sqlite';
import { createFakeClock, type FakeClock } from '@warmpath/core/testing';
import { WarmpathModule } from '@warmpath/nestjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Captioner, VISION_MODEL } from './captioner.js';
import { ImageProcessor, type ProcessedImage } from './image-processor.js';

const day = 86_400_000;
let clock: FakeClock;
let app: INestApplicationContext | undefined;
let folder = '';
let store: SqliteStore | undefined;

beforeEach(() => {
  clock = createFakeClock();
  folder = mkdtempSync(join(tmpdir(), 'warmpath-captions-'));
  vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => {});
});
afterEach(async () => {
  vi.restoreAllMocks();
  await app?.close();
  await store?.close();
  store = undefined;
  rmSync(folder, { recursive: true });
});

/** A vision model whose every answer the test decides. */
interface Seer {
  readonly model: ChatModel;
  asked: number;
  says: () => string | Promise<string>;
}

function seer(name = 'seer'): Seer {
  const made: Seer = {
    asked: 0,
    says: () => `Caption ${made.asked} of ${name}.`,
    model: {
      name,
      async generate() {
        made.asked++;
        return { text: await made.says(), citations: [], reason: 'stop' };
      },
      stream() {
        throw new Error('Captions are not streamed');
      },
    },
  };
  return made;
}

const image: ProcessedImage = {
  id: 'a'.repeat(64),
  metadata: { format: 'png', width: 1, height: 1, bytes: 1, channels: 3, space: 'srgb', hasAlpha: false, frames: 1 },
  resized: { data: Buffer.from('image'), width: 1, height: 1 },
  thumbnail: { data: Buffer.from('image'), width: 1, height: 1 },
  measurements: {
    width: 40,
    height: 30,
    dominant: { r: 200, g: 30, b: 30 },
    brightness: 0.3,
    entropy: 1,
    sharpness: 0,
    transparent: false,
    frames: 1,
  },
};

/** @param inFile keeps captions in a file, which outlives the app */
async function start({ model }: Partial<Seer> = {}, inFile = false): Promise<Captioner> {
  await app?.close();
  if (inFile) store ??= sqliteStore({ file: join(folder, 'captions.sqlite'), clock });
  const cache = inFile && store ? { store } : {};
  @Module({
    imports: [WarmpathModule.forRoot({ clock, cache, random: () => 0 })],
    providers: [
      Captioner,
      { provide: ImageProcessor, useValue: { forModel: async () => Buffer.from('jpeg') } },
      { provide: VISION_MODEL, useFactory: () => model },
    ],
  })
  class TestModule {}
  app = await NestFactory.createApplicationContext(TestModule, { logger: false });
  return app.get(Captioner);
}

/** Lets what goes on in the background come to its end. */
const settled = (): Promise<void> => clock.advance(0);
const measured = 'A landscape image of 40 × 30 pixels, mostly red, dim and almost without detail.';

describe('the caption of a model', () => {
  it('is served on past its ttl at once, while the model writes a new one', async () => {
    const model = seer();
    const captioner = await start(model);
    await captioner.caption(image);
    await clock.advance(31 * day);
    expect(await captioner.caption(image)).toMatchObject({ text: 'Caption 1 of seer.', cached: true });
    await settled();
    expect(model.asked).toBe(2);
    expect(await captioner.caption(image)).toMatchObject({ text: 'Caption 2 of seer.', cached: true });
  });

  it('stands in for as long as the model is away, months after its ttl', async () => {
    const model = seer();
    const captioner = await start(model);
    await captioner.caption(image);
    model.says = () => Promise.reject(new TypeError('the model is away'));
    await clock.advance(80 * day);
    expect(await captioner.caption(image)).toEqual({ text: 'Caption 1 of seer.', source: 'model', cached: true });
    await clock.advance(50 * day);
    expect(await captioner.caption(image)).toEqual({ text: measured, source: 'measured', cached: false });
  });

  it('that is empty is a measured one, and the model is not bothered again for ten minutes', async () => {
    const model = seer();
    model.says = () => ' \n';
    const captioner = await start(model);
    expect(await captioner.caption(image)).toEqual({ text: measured, source: 'measured', cached: false });
    expect(await captioner.caption(image)).toEqual({ text: measured, source: 'measured', cached: true });
    expect(model.asked).toBe(1);
    model.says = () => 'A red field.';
    await clock.advance(600_000 - 1);
    await captioner.caption(image);
    expect(model.asked).toBe(1);
    await clock.advance(1);
    await captioner.caption(image); // what is kept of nothing is served once more while the model is asked
    await settled();
    expect(await captioner.caption(image)).toMatchObject({ text: 'A red field.', source: 'model', cached: true });
  });

  it('belongs to that model: another one writes its own, and the first finds its own again', async () => {
    const [one, two] = [seer('one'), seer('two')];
    await (await start(one, true)).caption(image);
    expect(await (await start(two, true)).caption(image)).toMatchObject({ text: 'Caption 1 of two.', cached: false });
    expect(await (await start(one, true)).caption(image)).toMatchObject({ text: 'Caption 1 of one.', cached: true });
    expect([one.asked, two.asked]).toEqual([1, 1]);
  });
});

describe('the vision model', () => {
  const other = (index: number): ProcessedImage => ({ ...image, id: `${index}`.padStart(64, '0') });

  it('is asked no more than 60 times a minute: what comes then gets a measured caption', async () => {
    const model = seer();
    const captioner = await start(model);
    const sources: string[] = [];
    for (let index = 0; index < 62; index++) sources.push((await captioner.caption(other(index))).source);
    expect(sources).toEqual([...Array(60).fill('model'), 'measured', 'measured']);
    await clock.advance(60_000);
    expect(await captioner.caption(other(61))).toMatchObject({ source: 'model' });
    expect(model.asked).toBe(61);
  });

  it('is asked for four captions at a time at the most, a second attempt included', async () => {
    const model = seer();
    const gates: PromiseWithResolvers<string>[] = [];
    model.says = () => {
      const gate = Promise.withResolvers<string>();
      gates.push(gate);
      return gate.promise;
    };
    const captioner = await start(model);
    const captions = [0, 1, 2, 3, 4, 5].map((index) => captioner.caption(other(index)));
    await settled();
    expect(gates).toHaveLength(4);
    gates[0]?.reject(new Error('overloaded'));
    await clock.advance(1_000);
    expect(gates.length).toBeGreaterThan(4);
    for (const gate of gates) gate.resolve('A field.');
    await clock.advance(60_000);
    for (const gate of gates) gate.resolve('A field.');
    expect((await Promise.all(captions)).filter(({ source }) => source === 'model').length).toBeGreaterThanOrEqual(4);
  });
});

describe('forgetting an image', () => {
  it('forgets its captions by every model there was, and of no other image', async () => {
    const [one, two] = [seer('one'), seer('two')];
    const other = { ...image, id: 'b'.repeat(64) };
    await (await start(one, true)).caption(image);
    const captioner = await start(two, true);
    await captioner.caption(image);
    await captioner.caption(other);
    expect(await captioner.forget(image.id)).toBe(false);
    expect(await captioner.caption(image)).toMatchObject({ text: 'Caption 3 of two.', cached: false });
    expect(await captioner.caption(other)).toMatchObject({ text: 'Caption 2 of two.', cached: true });
    expect(await (await start(one, true)).caption(image)).toMatchObject({ text: 'Caption 2 of one.', cached: false });
  });

  it('forgets a measured caption, too', async () => {
    const captioner = await start();
    await captioner.caption(image);
    expect((await captioner.caption(image)).cached).toBe(true);
    await captioner.forget(image.id);
    expect((await captioner.caption(image)).cached).toBe(false);
  });

  it('also when the model is still writing: that caption reaches who waits for it, and is not kept', async () => {
    const model = seer();
    const gate = Promise.withResolvers<string>();
    model.says = () => gate.promise;
    const captioner = await start(model, true);
    const waiting = captioner.caption(image);
    await expect.poll(() => model.asked).toBe(1);
    await captioner.forget(image.id);
    gate.resolve('Seen before.');
    expect(await waiting).toMatchObject({ text: 'Seen before.', cached: false });
    model.says = () => 'Seen anew.';
    expect(await captioner.caption(image)).toMatchObject({ text: 'Seen anew.', cached: false });
  });
});
