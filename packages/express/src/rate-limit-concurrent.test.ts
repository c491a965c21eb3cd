import { once } from 'node:events';
import type { Response as Answer } from 'express';
import { describe, expect, it } from 'vitest';
import { type Limited, limited, statuses } from '../test/limited.js';
import type { RateLimitOptions } from './rate-limit.js';
import { streamAnswer } from './stream-answer.js';

interface Open extends Limited {
  /** Answers that have been begun, in the order in which they came. */
  readonly answers: readonly Answer[];
  readonly untilUnderWay: (count: number) => Promise<void>;
}

/** Two at a time, and each is open until the test ends it. */
async function twoAtATime(options: RateLimitOptions = {}): Promise<Open> {
  const answers: Answer[] = [];
  const app = await limited({ limits: [{ concurrent: 2 }], key: () => 'all', ...options }, (own) => {
    own.get('/open', (_req, res) => void answers.push(res));
    own.get('/broken', () => {
      throw new Error('broken');
    });
    own.get('/stream', async (_req, res) => {
      await streamAnswer(res, events());
      async function* events() {
        yield { event: 'begun', data: {} };
        answers.push(res);
        await once(res, 'go');
        yield { event: 'done', data: {} };
      }
    });
  });
  const underWay = () => app.runtime.limiter('http').status().reserved;
  return { ...app, answers, untilUnderWay: (count) => expect.poll(underWay).toBe(count) };
}

describe('a limit on requests at the same time', () => {
  it('counts each until its answer is out', async () => {
    const { url, answers, untilUnderWay } = await twoAtATime();
    const both = [fetch(`${url}/open`), fetch(`${url}/open`)];
    await expect.poll(() => answers.length).toBe(2);
    const refused = await fetch(url);
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      detail: expect.stringContaining("'http' allows 2 requests at a time."),
    });
    answers[0]?.send('done');
    await both[0];
    await untilUnderWay(1);
    expect(await statuses(url, {}, {}, {})).toEqual([200, 200, 200]); // one after another
    answers[1]?.send('done');
    await untilUnderWay(0);
  });

  it('counts a request that fails until then as well', async () => {
    const { url, untilUnderWay } = await twoAtATime();
    expect(await statuses(`${url}/broken`, {}, {}, {}, {})).toEqual([500, 500, 500, 500]);
    await untilUnderWay(0);
  });

  it('counts a stream until its end', async () => {
    const { url, answers, untilUnderWay } = await twoAtATime();
    const streams = await Promise.all([fetch(`${url}/stream`), fetch(`${url}/stream`)]); // their headers are here
    await expect.poll(() => answers.length).toBe(2);
    expect(await statuses(url, {})).toEqual([429]);
    for (const answer of answers) answer.emit('go');
    for (const stream of streams) expect(await stream.text()).toContain('event: done');
    await untilUnderWay(0);
    expect(await statuses(url, {})).toEqual([200]);
  });

  it.each(['/open', '/stream'])('counts none whose client has left: %s', async (path) => {
    const { url, answers, untilUnderWay } = await twoAtATime();
    const leaving = new AbortController();
    const left = [1, 2].map(() => fetch(`${url}${path}`, { signal: leaving.signal }).then((answer) => answer.text()));
    for (const each of left) each.catch(() => {});
    await expect.poll(() => answers.length).toBe(2);
    leaving.abort();
    await untilUnderWay(0);
    expect(await statuses(url, {})).toEqual([200]);
    for (const answer of answers) answer.emit('go');
  });

  it('lets the next one in where requests may wait', async () => {
    const { url, answers, untilUnderWay, runtime } = await twoAtATime({ wait: '10m' });
    for (let count = 1; count <= 2; count++) {
      void fetch(`${url}/open`);
      await untilUnderWay(count);
    }
    const third = fetch(url);
    await expect.poll(() => runtime.limiter('http').status().waiting).toBe(1);
    answers[0]?.send('done');
    expect((await third).status).toBe(200);
    answers[1]?.send('done');
  });

  it('lets go of one that lasts longer than leaseTtl, since its process may have died', async () => {
    const { url, clock, answers } = await twoAtATime({ leaseTtl: '1m' });
    const both = [fetch(`${url}/open`), fetch(`${url}/open`)];
    await expect.poll(() => answers.length).toBe(2);
    await clock.advance(59_999);
    expect(await statuses(url, {})).toEqual([429]);
    await clock.advance(1);
    expect(await statuses(url, {})).toEqual([200]);
    for (const answer of answers) answer.send('done');
    await Promise.all(both);
  });
});
