import type { Invalidation, StoreFeed } from '../src/cache/store.js';
import { RedisFeeds } from '../src/cache/stores/redis/redis-feed.js';
import { redisKeys } from '../src/cache/stores/redis/redis-keys.js';
import { bumpScript, openScript, restartScript } from '../src/cache/stores/redis/scripts.js';
import { seededRandom } from '../src/kernel/index.js';
import { SimulatedClock } from './simulated-clock.js';
import type { NetworkFaults } from './simulated-link.js';
import { type SimulatedPort, SimulatedRedis } from './simulated-redis.js';
import type { SimulatedServer } from './simulated-server.js';

export const namespace = 'space';
export const keys = redisKeys('wp', namespace);

/** A process that uses the bus as the store does. */
export interface FeedProcess {
  readonly publisher: string;
  readonly port: SimulatedPort;
  readonly feeds: RedisFeeds;
  readonly feed: StoreFeed;
  /** What the journal is given. */
  readonly heard: readonly Invalidation[];
  /** Resolves when the server has confirmed it. */
  tell(invalidation: Invalidation): Promise<void>;
}

export interface FeedsSetUp {
  readonly clock: SimulatedClock;
  readonly redis: SimulatedRedis;
  readonly server: SimulatedServer;
  process(faults?: Partial<NetworkFaults>): FeedProcess;
  advance(ms: number): Promise<void>;
}

const forever = new AbortController().signal;

/** A simulated Redis, and processes with a feed of one namespace each. */
export function feedsSetUp(seed = 1, servers = 1): FeedsSetUp {
  const clock = new SimulatedClock();
  const random = seededRandom(seed);
  const redis = new SimulatedRedis({ clock, random, servers });
  let processes = 0;
  let epochs = 0;
  const newEpoch = (): string => `epoch${++epochs}`;
  const process = (faults: Partial<NetworkFaults> = { delayMs: [1, 1] }): FeedProcess => {
    const port = redis.connect(faults);
    const publisher = `process${++processes}`;
    port.onServer(async (runId) => {
      await port.run(openScript, [keys.versions], [newEpoch()], forever);
      await port.run(restartScript, [keys.versions], [newEpoch(), runId], forever);
    });
    const heard: Invalidation[] = [];
    const onHeard = (_: string, invalidation: Invalidation): void => void heard.push(invalidation);
    const feeds = new RedisFeeds({ port, clock, publisher, keysOf: () => keys, onHeard });
    const tell = async (invalidation: Invalidation): Promise<void> => {
      const names = 'keys' in invalidation ? invalidation.keys : 'tags' in invalidation ? invalidation.tags : [];
      const args = [newEpoch(), keys.channel, publisher, invalidation.type, JSON.stringify(names), '1000'];
      await port.run(bumpScript, [keys.versions], args, forever);
    };
    return { publisher, port, feeds, heard, tell, feed: feeds.open(namespace) };
  };
  const advance = (ms: number): Promise<void> => clock.runUntil(clock.now() + ms);
  return { clock, redis, server: redis.serverOf(keys.versions), process, advance };
}
