export {
  createHttpPool,
  type HttpPool,
  type HttpPoolOptions,
  type HttpPoolStats,
  type PoolFetch,
} from './http-pool.js';
