/** What was sent under one name, and why. */
export interface AttemptCounts {
  /** Physical attempts: what a breaker or a limit refused is not among them. */
  sent: number;
  /** Of these, how many were made again, beside another one, or in place of another. */
  retries: number;
  hedges: number;
  fallbacks: number;
  failures: number;
  /** Given up by whoever asked, or since another was faster. */
  aborted: number;
  refused: number;
}

export interface BreakerCounts {
  opened: number;
  rejected: number;
}

export interface ServiceCounts {
  failures: number;
  /** Sent once more since a socket that had been idle turned out to be closed. */
  redialled: number;
}

/** Fields that are counted of the events with which policies and pools say what became of a call. */
export type ResilienceEvent =
  | {
      readonly type: 'attempt.ended';
      readonly name: string;
      readonly kind: 'first' | 'retry' | 'hedge' | 'fallback' | 'split';
      readonly outcome: 'ok' | 'failed' | 'aborted' | 'refused';
    }
  | { readonly type: 'fallback.used'; readonly name: string }
  | { readonly type: 'breaker.opened' | 'breaker.rejected'; readonly name: string }
  | { readonly type: 'http.failed' | 'http.redialled'; readonly service: string };

export function noAttempts(): AttemptCounts {
  return { sent: 0, retries: 0, hedges: 0, fallbacks: 0, failures: 0, aborted: 0, refused: 0 };
}

export function noServiceCounts(): ServiceCounts {
  return { failures: 0, redialled: 0 };
}

const extras = {
  first: undefined,
  retry: 'retries',
  hedge: 'hedges',
  fallback: 'fallbacks',
  split: undefined,
} as const;

export function countAttempt(
  counts: AttemptCounts,
  { kind, outcome }: Extract<ResilienceEvent, { type: 'attempt.ended' }>,
): void {
  if (outcome === 'refused') {
    counts.refused++;
    return;
  }
  counts.sent++;
  const extra = extras[kind];
  if (extra) counts[extra]++;
  if (outcome === 'failed') counts.failures++;
  if (outcome === 'aborted') counts.aborted++;
}
