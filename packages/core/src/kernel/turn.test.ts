import { expect, it } from 'vitest';
import { atTurnsEnd } from './index.js';

it('comes after all promise jobs of the turn, those that they set off included, and before timers and I/O', async () => {
  const log: string[] = [];
  const over = new Promise<void>((resolve) => {
    setImmediate(() => {
      log.push('next turn');
      resolve();
    });
  });
  atTurnsEnd(() => log.push('end'));
  let jobs = Promise.resolve();
  for (let job = 0; job < 20; job++) {
    jobs = jobs.then(() => {
      log.push('job');
    });
  }
  process.nextTick(() => log.push('tick'));
  await over;
  expect(log).toEqual([...Array(20).fill('job'), 'tick', 'end', 'next turn']);
});
