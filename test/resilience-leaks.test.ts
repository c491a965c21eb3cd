import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect, it, onTestFinished } from 'vitest';
import { startChaosServer } from '../packages/core/test/chaos/chaos-server.js';
import { hang, hangMidBody } from '../packages/core/test/chaos/faults.js';
import type { Leaks } from './processes/resilience-leaks.js';

const worker = fileURLToPath(new URL('processes/resilience-leaks.ts', import.meta.url));

it('100,000 aborted calls, in each phase at least 10,000, leave no socket, timer, listener or memory behind', async () => {
  const [hanging, half] = [await startChaosServer(), await startChaosServer()];
  onTestFinished(async () => void (await Promise.all([hanging.close(), half.close()])));
  hanging.script([], hang);
  half.script([], hangMidBody);
  const child = fork(worker, [hanging.url, half.url], { execArgv: ['--expose-gc'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const exit = once(child, 'exit');
  const [message] = await Promise.race([once(child, 'message'), exit.then(([code]) => [`It has ended with ${code}`])]);
  const { first, last, closed, took } = message as Leaks;
  const story = JSON.stringify({ first, last, closed, took });

  expect([first.rejected, last.rejected], story).toEqual([10_000, 100_000]);
  expect(last.listeners, story).toBe(first.listeners);
  expect(last.timers, story).toBeLessThanOrEqual(first.timers);
  // Idle ones that wait for the next call, no more than there may be.
  expect(last.sockets, story).toBeLessThanOrEqual(101);
  // Compiled code comes and goes in megabytes; a listener and what it holds would be 100 bytes or more of each call.
  expect((last.heapBytes - first.heapBytes) / (last.rejected - first.rejected), story).toBeLessThan(60);
  // Of each 1,000 that are aborted together one has the socket.
  expect(last.dialledForQueue, story).toBeLessThanOrEqual(50);
  expect(closed, story).toMatchObject({ inFlight: 0, listeners: 0, timers: 0, sockets: 0 });
  expect(closed.resources).toEqual({ PipeWrap: 1 }); // to this process
  await exit; // by itself: nothing keeps it alive
  await expect.poll(() => hanging.open + half.open).toBe(0);
});
