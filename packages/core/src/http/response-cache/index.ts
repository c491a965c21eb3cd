export {
  type HttpCacheInterceptor,
  type HttpCacheOptions,
  type HttpCacheStats,
  httpCacheInterceptor,
} from './interceptor.js';
export type { ResponseStore } from './store-calls.js';
