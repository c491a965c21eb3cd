import type { OpenReason } from './contract.js';

export type BreakerEvent =
  | {
      readonly type: 'breaker.opened';
      readonly name: string;
      readonly why: OpenReason;
      /** What it opened on: calls of the window, or probes. */
      readonly calls: number;
      readonly failures: number;
      readonly slow: number;
      /** Infinity: until `close()`. */
      readonly pauseMs: number;
    }
  | { readonly type: 'breaker.halfOpened'; readonly name: string }
  | {
      readonly type: 'breaker.closed';
      readonly name: string;
      /** Since it opened, half-open times and further pauses included. */
      readonly openMs: number;
    }
  | {
      readonly type: 'breaker.rejected';
      readonly name: string;
      /** When it is worth while to come back. Infinity: nobody knows. */
      readonly retryAfterMs: number;
    };
