export type { RedisStore } from '../cache/stores/redis/redis-namespaces.js';
export type { RedisConnect } from './connection/redis-client.js';
export { type RedisStoreOptions, redisStore } from './redis-store.js';
