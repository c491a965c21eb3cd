// One of several processes on one Redis: says when its memory has the value, and when it has it no more.

import { createCache } from '@warmpath/core/cache';
import { redisStore } from '@warmpath/core/redis';

const [url = ''] = process.argv.slice(2);
const cache = createCache({ name: 'news', store: redisStore(url), storeTimeout: '5s' });

process.on('message', async () => {
  while ((await cache.get('key')) === undefined) await new Promise((resolve) => setTimeout(resolve, 1));
  process.send?.({ say: 'watching' });
  // As often as a busy server looks, and leaving the loop to what comes in.
  const look = (): void => {
    if (cache.peek('key') !== undefined) setImmediate(look);
    else process.send?.({ say: 'gone', at: String(process.hrtime.bigint()) });
  };
  look();
});

await cache.get('key');
process.send?.({ say: 'ready' });
