export { rateLimitHeaders } from './headers.js';
export { createLimiter, type Decision, type Limiter, type LimiterEvent, type LimiterOptions } from './limiter.js';
