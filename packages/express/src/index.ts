export { gzip } from './gzip.js';
export { performancePage } from './performance-page.js';
export { HttpProblem, type ProblemHandlerOptions, problemHandler, sendProblem } from './problem.js';
export { type RateLimitOptions, rateLimit } from './rate-limit.js';
export { type RequestState, warmpathOf } from './request-context.js';
export { type AnswerEvent, type AnswerOptions, streamAnswer } from './stream-answer.js';
export { type WarmpathMiddlewareOptions, warmpath } from './warmpath.js';
