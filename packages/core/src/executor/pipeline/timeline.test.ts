import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../testing/index.js';
import { pipeline } from './index.js';
import { Timeline } from './timeline.js';

describe('Timeline', () => {
  it('draws a run, with the path that the whole had to wait for', async () => {
    const clock = createFakeClock();
    const takes = (ms: number) => (): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));
    const answer = pipeline('answer', { clock })
      .step('decide', { run: takes(120) })
      .step('warm up', { optional: true, run: () => Promise.reject(new Error('cold')) })
      .step('retrieve', { after: ['decide'], run: takes(500) })
      .step('search', { after: ['decide'], optional: true, timeout: '800ms', run: takes(5_000) })
      .step('rerank', { after: ['retrieve'], when: () => false, run: takes(100) })
      .step('answer', { after: ['rerank', 'search'], run: takes(280) });
    const running = answer.run();
    await clock.advance(2_000);
    expect(String((await running).timeline)).toBe(
      [
        "pipeline 'answer': done after 1200 ms",
        '* decide   |####                                    |    0 +  120 ms  ok',
        '  warm up  |=                                       |    0 +    0 ms  failed',
        '  retrieve |    =================                   |  120 +  500 ms  ok after decide',
        '* search   |    ###########################         |  120 +  800 ms  timed-out after decide',
        '  rerank   |                     .                  |  620 +    0 ms  skipped after retrieve',
        '* answer   |                               #########|  920 +  280 ms  ok after search',
      ].join('\n'),
    );
  });

  it('shows waits for a place, and what never began', () => {
    const step = { error: undefined, waitedFor: undefined };
    const run = { pipeline: 'p', endedBy: 'abort', totalMs: 100 } as const;
    const steps = [
      { ...step, step: 'a', readyMs: 0, startMs: 50, endMs: 100, outcome: 'aborted' },
      { ...step, step: 'b', readyMs: 0, startMs: undefined, endMs: 100, outcome: 'aborted' },
      { ...step, step: 'c', readyMs: undefined, startMs: undefined, endMs: undefined, outcome: 'not-started' },
      { ...step, step: 'd', readyMs: 100, startMs: undefined, endMs: 100, outcome: 'skipped' },
    ] as const;
    expect(String(new Timeline(run, steps, 0))).toBe(
      [
        "pipeline 'p': abort after 100 ms",
        '* a |....................####################|   0 + 100 ms  aborted',
        '  b |........................................|   0 + 100 ms  aborted',
        '  c |                                        |               not-started',
        '  d |                                       .| 100 +   0 ms  skipped',
      ].join('\n'),
    );
  });

  it('marks what a run that was cut off had waited for: what was required, and for the longest', async () => {
    const clock = createFakeClock();
    const takes = (ms: number) => (): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));
    const running = pipeline('p', { clock })
      .step('optional', { optional: true, run: takes(100) })
      .step('long', { run: takes(20) })
      .step('short', { run: takes(10) })
      .step('after long', { after: ['long'], run: takes(100) })
      .step('after short', { after: ['short'], run: takes(100) })
      .runSettled(undefined, { timeout: 50 });
    await clock.advance(50);
    const { steps } = (await running).timeline;
    expect(steps.flatMap(({ step, onCriticalPath }) => (onCriticalPath ? [step] : []))).toEqual([
      'short',
      'after short',
    ]);
  });

  it('draws a run that took no time, and is plain data', async () => {
    const { timeline } = await pipeline('p', { clock: createFakeClock() })
      .step('a', { run: () => 1 })
      .step('b', { after: ['a'], run: () => 2 })
      .run();
    expect(String(timeline).split('\n').slice(1)).toEqual([
      '* a |#                                       | 0 + 0 ms  ok',
      '* b |#                                       | 0 + 0 ms  ok after a',
    ]);
    expect(JSON.parse(JSON.stringify(timeline))).toEqual({
      pipeline: 'p',
      endedBy: 'done',
      totalMs: 0,
      steps: [
        { step: 'a', readyMs: 0, startMs: 0, endMs: 0, outcome: 'ok', onCriticalPath: true },
        { step: 'b', readyMs: 0, startMs: 0, endMs: 0, outcome: 'ok', waitedFor: 'a', onCriticalPath: true },
      ],
    });
  });
});
