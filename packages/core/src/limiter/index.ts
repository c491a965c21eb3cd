export { rateLimitHeaders } from './headers.js';
export {
  createLimiter,
  type Decision,
  type Limiter,
  type LimiterEvent,
  type LimiterOptions,
  limiterRules,
} from './limiter.js';
