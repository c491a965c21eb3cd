export type { RedisConnect } from '../cache/stores/redis/redis-client.js';
export { type RedisStore, type RedisStoreOptions, redisStore } from '../cache/stores/redis/redis-store.js';
