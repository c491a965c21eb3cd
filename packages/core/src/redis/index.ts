export type { RedisStore } from '../cache/stores/redis/redis-namespaces.js';
export type { RedisLimits } from '../limiter/stores/redis/redis-limits.js';
export type { RedisConnect } from './connection/redis-client.js';
export { type RedisLimitsOptions, redisLimits } from './redis-limits.js';
export { type RedisStoreOptions, redisStore } from './redis-store.js';
