import { fork } from 'node:child_process';
import { once } from 'node:events';
import { it } from 'vitest';
import { startChaosServer } from '../packages/core/test/chaos/chaos-server.js';
import { hang, hangMidBody } from '../packages/core/test/chaos/faults.js';
it('x', async () => {
  const [hanging, half] = [await startChaosServer(), await startChaosServer()];
  hanging.script([], hang); half.script([], hangMidBody);
  const child = fork('/work/main/test/processes/zz-leaks.ts', [hanging.url, half.url], { execArgv: ['--expose-gc'] });
  await once(child, 'exit');
  await hanging.close(); await half.close();
});
