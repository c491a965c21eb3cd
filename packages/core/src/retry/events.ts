import type { AttemptKind, AttemptOutcome } from '../kernel/index.js';

/** Why there is no further attempt. */
export type StopReason =
  /** Trying again cannot help. */
  | 'not-retryable'
  /** All attempts were made. */
  | 'attempts'
  /** There is no time left for another one. */
  | 'deadline'
  /** The server wants to be left alone for longer than may be waited. */
  | 'retry-after'
  /** Nothing is left of what the calls of a process may try again together. */
  | 'budget'
  /** Whoever asked has left. */
  | 'left';

/** One physical attempt has ended, whichever layer has made it. */
export interface AttemptEvent {
  readonly type: 'attempt.ended';
  /** Of the policy, or of the step of a fallback or hedge. */
  readonly name: string;
  /** Among the attempts of the whole call: 1 for the first. */
  readonly number: number;
  /** Why it was made. */
  readonly kind: AttemptKind;
  readonly outcome: AttemptOutcome;
  /** How long was waited before it: backoff, Retry-After, the delay of a hedge. */
  readonly waitedMs: number;
  readonly ms: number;
  /** How long until the next one; absent where there is none. */
  readonly delayMs?: number;
  /** Of one that failed, where no other follows. */
  readonly stop?: StopReason;
  readonly error?: unknown;
}

/** A step has failed, and the next one is asked. */
export interface FallbackEvent {
  readonly type: 'fallback.used';
  readonly name: string;
  readonly failed: string;
  readonly next: string;
  readonly error: unknown;
}
