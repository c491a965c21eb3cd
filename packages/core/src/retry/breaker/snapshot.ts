import { badOption, checkOptions, type Rule, type Rules, rule } from '../../kernel/index.js';
import type { BreakerSnapshot, OpenReason } from './contract.js';
import { bucketCount } from './time-window.js';

const reasons: readonly OpenReason[] = ['consecutive', 'failure-rate', 'slow-rate', 'probes', 'held'];
const countsOf = ['calls', 'failures', 'slow'] as const;

const causeRule: Rule = {
  text: 'why it has opened, with its counts of calls',
  allows(value) {
    if (!isRecord(value)) return false;
    return reasons.includes(value.why as OpenReason) && countsOf.every((name) => count.allows(value[name]));
  },
};

const count = rule.integer(0);
const ms = rule.number(0);

const windowRule: Rule = {
  text: `{ outcomes } with digits from 0 to 3, or { bucketMs, intoMs, buckets } with ${bucketCount} buckets of three counts`,
  allows(value) {
    if (!isRecord(value)) return false;
    const { outcomes, bucketMs, intoMs, buckets } = value;
    if (outcomes !== undefined) return typeof outcomes === 'string' && /^[0-3]*$/.test(outcomes);
    return rule.positive.allows(bucketMs) && ms.allows(intoMs) && Array.isArray(buckets) && areBuckets(buckets);
  },
};

const rules: Rules<BreakerSnapshot> = {
  version: rule.required(rule.oneOf(1)),
  savedAt: rule.required(ms),
  state: rule.required(rule.oneOf('closed', 'open')),
  cause: causeRule,
  pauseMs: rule.required(ms),
  pauseLeftMs: rule.required(ms),
  closedForMs: rule.required(ms),
  consecutive: rule.required(count),
  window: rule.required(windowRule),
};

/** @throws WarmpathError `WP_BAD_OPTION` */
export function checkSnapshot(snapshot: BreakerSnapshot): void {
  const where = 'restore()';
  checkOptions(where, snapshot, rules);
  if ((snapshot.state === 'open') !== (snapshot.cause !== undefined))
    throw badOption(where, 'cause', "there if and only if 'state' is 'open'", snapshot.cause);
}

function areBuckets(buckets: readonly unknown[]): boolean {
  return buckets.length === bucketCount && buckets.every((bucket) => isBucket(bucket));
}

function isBucket(bucket: unknown): boolean {
  if (!Array.isArray(bucket) || bucket.length !== 3 || !bucket.every((each) => count.allows(each))) return false;
  const [calls, failures, slow] = bucket as [number, number, number];
  return failures <= calls && slow <= calls;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return rule.object.allows(value);
}
