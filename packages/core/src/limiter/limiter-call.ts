import { ambientRules, badOption, checkOptions, type Rules, rule } from '../kernel/index.js';
import type { EstimateOf, ReserveCall, TakeCall } from './limiter-types.js';

const takeRules: Rules<TakeCall> = {
  timeout: rule.duration,
  signal: ambientRules.signal,
  priority: rule.integer(0, 9),
  tenant: rule.text,
};

const reserveRules: Rules<ReserveCall> = { ...takeRules, ttl: rule.positiveDuration, estimate: rule.object };

const estimateRules: Rules<EstimateOf> = {
  model: rule.required(rule.text),
  route: rule.text,
  maxOutputTokens: rule.positive,
};

/** @throws WarmpathError `WP_BAD_OPTION` */
export function checkTakeCall(where: string, call: TakeCall): void {
  checkOptions(where, call, takeRules);
}

/** @throws WarmpathError `WP_BAD_OPTION` */
export function checkReserveCall(where: string, call: ReserveCall): void {
  checkOptions(where, call, reserveRules);
  if (call.estimate) checkOptions(`${where} estimate`, call.estimate, estimateRules);
}

/**
 * What is no text would give every call an account of its own.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function checkKey(where: string, key: string): void {
  if (typeof key !== 'string') throw badOption(where, 'key', 'a string', key);
}
