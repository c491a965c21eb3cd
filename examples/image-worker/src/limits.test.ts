import { Logger } from '@nestjs/common';
import type { NestExpressApplication } from '@nestjs/platform-express';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createApp, listen } from './app.js';
import { readConfig } from './config.js';

let app: NestExpressApplication | undefined;
let warnings: string[] = [];
beforeEach(() => {
  warnings = [];
  vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => void warnings.push(String(message)));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await app?.close();
});

it('a client may upload 120 images a minute, and is told when it may upload more', async () => {
  const config = readConfig({ PORT: '0' });
  app = await createApp(config);
  const origin = await listen(app, config);
  const bytes = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const upload = () => {
    const headers = { 'content-type': 'image/png' };
    return fetch(`${origin}/images`, { method: 'POST', body: new Uint8Array(bytes), headers });
  };
  for (let count = 0; count < 120; count++) expect((await upload()).status).toBe(201);
  const refused = await upload();
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.headers.get('ratelimit-policy')).toBe('"uploads";q=120;w=60');
  expect(await refused.json()).toMatchObject({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Too many requests',
    detail: expect.stringMatching(/^The limit is 120 in 60 s\. Try again in \d+ s\.$/),
  });
  expect(warnings).toEqual([expect.stringMatching(/^POST \/images was refused with 429: The limit is 120 in 60 s\./)]);
  expect(await (await fetch(`${origin}/performance`)).json()).toMatchObject({
    limiters: {
      uploads: { allowed: 120, refused: 1, dimensions: [{ used: 120, remaining: 0 }] },
      vision: { allowed: 0, dimensions: [{ limit: 60 }, { dimension: 'concurrency', limit: 4 }] },
    },
  });
});
