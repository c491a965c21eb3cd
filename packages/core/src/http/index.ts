export type {
  HttpBody,
  HttpCloseOptions,
  HttpHeaders,
  HttpPool,
  HttpPoolOptions,
  HttpPoolStats,
  HttpQuery,
  HttpRequestInit,
  HttpResponse,
  HttpResponseHeaders,
  HttpStream,
  HttpTlsOptions,
  PoolFetch,
} from './contract.js';
export { HttpStatusError } from './errors.js';
export type { HttpErrorKind, HttpEvent, HttpPhase } from './events.js';
export { createHttpPool } from './http-pool.js';
export type { HttpCacheOptions, HttpCacheStats, ResponseStore } from './response-cache/index.js';
