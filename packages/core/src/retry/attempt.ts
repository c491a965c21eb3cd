import type { AttemptCall, PolicyCall } from './policy.js';
import { Asker, AttemptScope } from './scope.js';

/** The attempt of whoever is outside, with an end of its own. */
export function scopeWithin(asker: Asker, endsAt: number): AttemptScope {
  return new AttemptScope(asker, asker.outer?.attempt ?? 1, asker.context?.running, endsAt);
}

/**
 * What the work of a policy that adds nothing to the attempt is given: the attempt of the policy outside, or one of its own.
 * @throws the reason of whoever has left already
 */
export function attemptOf(call: PolicyCall | undefined): AttemptCall {
  if (call instanceof AttemptScope) {
    if (call.reason) throw call.reason;
    return call;
  }
  const asker = new Asker(call);
  if (asker.hasLeft) throw asker.reason;
  return new AttemptScope(asker, asker.outer?.attempt ?? 1, asker.context?.running, asker.deadline, true);
}
