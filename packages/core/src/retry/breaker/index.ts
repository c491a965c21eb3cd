export { breaker } from './breaker.js';
export type {
  BreakerOptions,
  BreakerOutcome,
  BreakerPolicy,
  BreakerSnapshot,
  BreakerState,
  BreakerStats,
  OpenCause,
  OpenReason,
} from './contract.js';
export type { BreakerEvent } from './events.js';
export { breakerRules } from './options.js';
export type { SavedWindow } from './window.js';
