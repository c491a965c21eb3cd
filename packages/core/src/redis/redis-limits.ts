import {
  ambientRules,
  type Clock,
  checkOptions,
  type Random,
  type Rules,
  rule,
  systemClock,
  systemRandom,
} from '../kernel/index.js';
import { type RedisLimits, redisLimitsOver } from '../limiter/stores/redis/redis-limits.js';
import { connectRedis, type RedisConnect } from './connection/redis-client.js';
import { prefixRule } from './redis-store.js';

export interface RedisLimitsOptions {
  /** What events call it. Default `'redis'`. */
  readonly name?: string;
  /** What all names in Redis begin with. Default `'wp'`. */
  readonly prefix?: string;
  readonly clock?: Clock;
  readonly random?: Random;
}

const optionRules: Rules<RedisLimitsOptions> = {
  name: rule.text,
  prefix: prefixRule,
  clock: ambientRules.clock,
  random: ambientRules.random,
};

/**
 * Accounts of limiters in Redis (7.0 or later: alone, behind Sentinels, or a Cluster), shared by all processes that name the
 * same server, prefix and limiter, through `@redis/client`, which has to be installed beside this package. Its connections are
 * its own, made and lost as those of `redisStore()` are.
 *
 * Promised: a decision is one atomic step on the server's time and one round trip; what one turn of the event loop asks shares
 * it, up to 64 calls at a time, in a cluster if it is of one account. No clock of a client has a say, but that a jump of the server's clock
 * by more than a second shows against it. An account that the server has lost is told by each process what that one has had of
 * it; a server that takes the place of another, which places are held. Every key expires by itself, a minute after nothing
 * counts any more at the latest. A server without memory to spare still decides. Not promised: anything while two servers both
 * believe to be in charge.
 *
 * What was sent is not taken back: a call whose signal is aborted afterwards still answers, and has been charged.
 * @throws WarmpathError `WP_BAD_OPTION`; `WP_MODULE_MISSING` where `@redis/client` is not installed
 */
export function redisLimits(connection: RedisConnect, options: RedisLimitsOptions = {}): RedisLimits {
  const where = 'redisLimits()';
  checkOptions(where, options, optionRules);
  const { name = 'redis', prefix = 'wp', clock = systemClock, random = systemRandom } = options;
  const port = connectRedis(where, connection, { clock, random });
  return redisLimitsOver(port, { name, prefix, clock, random });
}
