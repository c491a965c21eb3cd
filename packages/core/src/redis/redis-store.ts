import { type RedisStore, redisStoreOver } from '../cache/stores/redis/redis-namespaces.js';
import {
  ambientRules,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  type Random,
  type Rule,
  type Rules,
  rule,
  systemClock,
  systemRandom,
} from '../kernel/index.js';
import { connectRedis, type RedisConnect } from './connection/redis-client.js';

export interface RedisStoreOptions {
  /** What events call it. Default `'redis'`. */
  readonly name?: string;
  /** What all names in Redis begin with. Default `'wp'`. */
  readonly prefix?: string;
  /** For how long the lease of a process that has died keeps others from computing. Default `'2s'`. */
  readonly leaseTtl?: Duration;
  readonly clock?: Clock;
  readonly random?: Random;
}

export const prefixRule: Rule = {
  text: 'a string that is not empty, without braces and white space',
  allows: (value) => typeof value === 'string' && /^[^{}\s]+$/.test(value),
};

/** It is renewed three times as often as it lasts. */
const shortestLeaseMs = 100;

const leaseTtlRule: Rule = {
  text: `a duration of ${shortestLeaseMs} ms or more, such as '2s'`,
  allows: (value) => rule.positiveDuration.allows(value) && durationMs(value as Duration) >= shortestLeaseMs,
};

const optionRules: Rules<RedisStoreOptions> = {
  name: rule.text,
  prefix: prefixRule,
  leaseTtl: leaseTtlRule,
  clock: ambientRules.clock,
  random: ambientRules.random,
};

/**
 * Redis (7.0 or later: alone, behind Sentinels, or a Cluster) as a tier of a cache, through `@redis/client`, which has to be
 * installed beside this package.
 *
 * It has connections of its own to where `connection` leads, one for commands to each server and one for what is published;
 * a client that is given shows where that is, and stays its owner's. They are made in the background, and again whenever they
 * are lost. Meanwhile every call fails at once, but for the time before the first attempt has ended.
 *
 * Promised: an entry is served only if nothing that rules it was invalidated since its computation began, by whichever
 * process, in whichever order messages, writes and failures came; no clock has a say in it. What is lost (keys that Redis
 * evicts, a server that starts empty or from an old snapshot, a replica that lacks the last writes) costs computations, and
 * what was invalidated within the last hour is told again to a server that takes the place of another. Not promised: anything
 * while two servers both believe to be in charge.
 *
 * Costs in round trips: a read one, and one more where it finds entries with tags that it was not told of; reads of one turn
 * of the event loop share theirs. A lease one, a write two (of a value that is set by hand three), an invalidation two.
 * @throws WarmpathError `WP_BAD_OPTION`; `WP_MODULE_MISSING` where `@redis/client` is not installed
 */
export function redisStore(connection: RedisConnect, options: RedisStoreOptions = {}): RedisStore {
  checkOptions('redisStore()', options, optionRules);
  const { name = 'redis', prefix = 'wp', leaseTtl = '2s', clock = systemClock, random = systemRandom } = options;
  const port = connectRedis('redisStore()', connection, { clock, random });
  return redisStoreOver(port, { name, prefix, leaseTtlMs: Math.round(durationMs(leaseTtl)), clock, random });
}
