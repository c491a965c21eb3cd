import { redisStore } from '@warmpath/core/redis';

/** Uses a store on a Redis that may not be there, and closes it: nothing else keeps this process alive. */
const store = redisStore(process.argv[2] ?? '');
const namespace = 'space';
const feed = store.openFeed(namespace);
const signal = AbortSignal.timeout(10_000);
await store.getMany({ namespace, keys: ['key'], tags: [], signal }).catch(() => {}); // one that is not there has nothing
feed.close();
await store.close();
