import { createWarmpath } from '@warmpath/core';
import { openai } from '@warmpath/core/models';
import { createFakeClock, startModelServer } from '@warmpath/core/testing';
import { describe, expect, it, onTestFinished } from 'vitest';
import { serve } from '../test/serve.js';
import { problemHandler } from './problem.js';
import { streamAnswer } from './stream-answer.js';
import { warmpath } from './warmpath.js';

/** A chat over a model that may be asked twice a minute. */
async function chat() {
  const server = await startModelServer({ reply: 'Hello you.' });
  onTestFinished(() => server.close());
  const clock = createFakeClock();
  const model = openai({ model: 'tiny', baseUrl: server.openaiUrl, apiKey: 'none' });
  const runtime = createWarmpath({ clock, chat: { models: [{ model, limits: { limit: 2, window: '1m' } }] } });
  const url = await serve((app) => {
    app.use(warmpath({ runtime }));
    app.get('/ask/:question', async (req, res) => {
      const messages = [{ role: 'user' as const, content: req.params.question }];
      const { chunks } = await runtime.chat.stream({ messages });
      await streamAnswer(res, events());
      async function* events() {
        for await (const chunk of chunks) yield { event: chunk.type, data: chunk };
      }
    });
    app.use(problemHandler({ log: () => {} }));
  });
  return { url: `${url}/ask`, page: `${url}/performance`, server, clock };
}

describe('a model whose limits have no room', () => {
  it('is a 503 with Retry-After for who asks, not a 429: it is not their quota', async () => {
    const { url, server, clock } = await chat();
    for (const question of ['one', 'two']) expect(await (await fetch(`${url}/${question}`)).text()).toContain('you.');
    const refused = await fetch(`${url}/three`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '60']);
    expect(await refused.json()).toEqual({
      type: 'urn:warmpath:WP_RATE_LIMITED',
      title: 'Service unavailable',
      status: 503,
      detail: 'The quota of the model is used up at the moment. Try again later.',
      code: 'WP_RATE_LIMITED',
    });
    expect((await fetch(`${url}/one`)).status).toBe(200); // kept answers cost nothing
    expect(server.requests).toHaveLength(2);
    await clock.advance(60_000);
    expect((await fetch(`${url}/three`)).status).toBe(200);
  });

  it('shows on the performance page how it stands', async () => {
    const { url, page } = await chat();
    await (await fetch(`${url}/one`)).text();
    expect(await (await fetch(page)).json()).toMatchObject({
      limiters: {
        'openai:tiny': {
          ...{ allowed: 1, refused: 0, decidedBy: { memory: 1 }, waiting: 0, reserved: 0, rate: 1 },
          dimensions: [{ dimension: 'requests/1m', limit: 2, used: 1, remaining: 1 }],
        },
      },
    });
  });
});
