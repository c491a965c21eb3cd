import { isWarmpathError, type WarmpathErrorCode } from './errors.js';
import {
  asForeign,
  asRecord,
  beneath,
  errorHeaders,
  errorStatus,
  type ForeignError,
  hintOf,
  isHopeless,
  isOfNetwork,
  mostCauses,
  ownDetails,
} from './foreign-error.js';
import { parseRetryAfter } from './retry-after.js';
import { isQuotaSpent } from './spent-quota.js';

/**
 * What a failed attempt says of the other side. `permanent`: the same again ends the same, and the caller is to blame or nobody.
 * `throttled`: it is well and asks for less (429, 529). `transient`: it is in trouble, or nobody knows.
 */
export type FailureClass = 'permanent' | 'throttled' | 'transient';

const nonRetryables = new WeakSet<object>();
const spent = new WeakSet<object>();

/** Marks an error so that no layer tries again, whatever its kind. Returns the same error. */
export function nonRetryable<E extends Error>(error: E): E {
  nonRetryables.add(error);
  return error;
}

/** Marks what is left when a layer has tried as often as it may: whoever asked need not try as often again. Returns the same. */
export function markSpent<E>(error: E): E {
  if (typeof error === 'object' && error !== null) spent.add(error);
  return error;
}

/** Whether our own retries are behind this error, behind what has caused it, or behind one of several (AggregateError). */
export function isSpent(error: unknown): boolean {
  return isMarkedSpent(asForeign(error), mostCauses);
}

function isMarkedSpent(error: ForeignError | undefined, mostLinks: number): boolean {
  let each = error;
  for (let left = mostLinks; each && left > 0; left--) {
    if (spent.has(each)) return true;
    const several = severalIn(each);
    if (several?.some((one) => isMarkedSpent(asForeign(one), left - 1))) return true;
    each = beneath(each);
  }
  return false;
}

/** Of an AggregateError that tells of any. */
export function severalIn(error: unknown): readonly unknown[] | undefined {
  if (!(error instanceof AggregateError)) return undefined;
  const errors: unknown = error.errors;
  return Array.isArray(errors) && errors.length > 0 ? errors : undefined;
}

/**
 * The class of a failure, by what the error says, or else by what has caused it. First of all count the mark of `nonRetryable`, that a
 * caller has left (AbortError) and the server's own word (`x-should-retry`); then that a quota is spent for the day or for good, whatever
 * its status; then what the error says of itself (`retryable`, also in its details); then its status, its code and its kind. A 503
 * with Retry-After is transient all the same: a backend that cannot serve is what breakers are for, and `retryAfterMs` is heeded
 * as well. 409 is permanent: the same request meets the same conflict, unless the server says otherwise. Of several
 * (AggregateError) the most hopeful counts. What nobody knows is transient.
 */
export function failureClass(error: unknown): FailureClass {
  return classOf(asForeign(error), mostCauses);
}

/** Whether trying the same again can help: whatever is not permanent, as `failureClass` has it. */
export function isRetryable(error: unknown): boolean {
  return failureClass(error) !== 'permanent';
}

function classOf(error: ForeignError | undefined, mostLinks: number): FailureClass {
  let each = error;
  for (let left = mostLinks; each && left > 0; left--) {
    const found = verdictOf(each) ?? classOfSeveral(severalIn(each), left - 1);
    if (found) return found;
    each = beneath(each);
  }
  return 'transient';
}

function classOfSeveral(several: readonly unknown[] | undefined, mostLinks: number): FailureClass | undefined {
  if (!several) return undefined;
  const classes = several.map((each) => classOf(asForeign(each), mostLinks));
  return hopefulFirst.find((each) => classes.includes(each));
}

const hopefulFirst: readonly FailureClass[] = ['transient', 'throttled', 'permanent'];

/** What one error says without what has caused it; undefined when that is nothing. */
function verdictOf(error: ForeignError): FailureClass | undefined {
  if (nonRetryables.has(error) || isAbort(error)) return 'permanent';
  const status = errorStatus(error);
  const isRateControl = status === 429 || status === 529 || isThrottling(error);
  const hopeful = isRateControl ? 'throttled' : 'transient';
  const told = errorHeaders(error)?.('x-should-retry');
  if (told === 'true') return hopeful;
  if (told === 'false') return 'permanent';
  if ((status === undefined || isRateControl) && isQuotaSpent(error)) return 'permanent';
  const said = hintOf(error, 'retryable') ?? error.isRetryable;
  if (said === true) return hopeful;
  if (said === false) return 'permanent';
  if (isRateControl) return 'throttled';
  if (asRecord(error.$retryable)) return 'transient';
  if (status !== undefined) return isLater(status) ? 'transient' : 'permanent';
  if (isWarmpathError(error)) return verdictOfOwn(error.code);
  if (isTimeout(error)) return 'transient';
  if (isHopeless(error)) return 'permanent';
  if (typeof error.code === 'string' && isOfNetwork(error)) return 'transient';
  return isOfProgram(error) ? 'permanent' : undefined;
}

/** A caller has left. The SDK of OpenAI, and those made like it, name the class and not the error; axios has a name of its own. */
function isAbort(error: ForeignError): boolean {
  const { name } = error;
  return name === 'AbortError' || name === 'CanceledError' || error.constructor?.name === 'APIUserAbortError';
}

/** It took longer than its client waits, who aborts the request then, so that beneath it there is an AbortError. */
function isTimeout(error: ForeignError): boolean {
  return [error.name, error.constructor?.name].some(
    (name) => typeof name === 'string' && name.endsWith('TimeoutError'),
  );
}

/** The AWS SDK has statuses of 400 for some of what is rate control. */
function isThrottling({ name, $retryable }: ForeignError): boolean {
  if (asRecord($retryable)?.throttling === true) return true;
  return typeof name === 'string' && /^(?:Throttl|TooManyRequests)/.test(name);
}

/** RFC 9110 §15.5.9, RFC 8470 §5.2; of 5xx all but those that say "never like this": 501, 505, 506, 508, 510, 511. */
function isLater(status: number): boolean {
  if (status < 500) return status === 408 || status === 425;
  return status <= 504 ? status !== 501 : status === 507 || status === 509 || status > 511;
}

/** Of our own errors without a word in their details: those that tell of another's trouble leave it to their cause. */
function verdictOfOwn(code: WarmpathErrorCode): FailureClass | undefined {
  if (code === 'WP_DEADLINE') return 'transient';
  return code.startsWith('WP_MODEL_') || code === 'WP_HTTP_FAILED' || code === 'WP_HTTP_STATUS'
    ? undefined
    : 'permanent';
}

/** A mistake in the program. A TypeError that has a cause is how fetch() says that there was no response. */
function isOfProgram(error: ForeignError): boolean {
  if (error instanceof TypeError) return error.cause === undefined;
  return error instanceof RangeError || error instanceof ReferenceError;
}

/** Refusals of our own before anything was sent. WP_OVERLOADED is one of them where its details say so (`phase`). */
const refusals: ReadonlySet<WarmpathErrorCode> = new Set<WarmpathErrorCode>([
  'WP_BREAKER_OPEN',
  'WP_RATE_LIMITED',
  'WP_NO_BACKEND',
]);

function isRefusal(error: ForeignError): boolean {
  return isWarmpathError(error) && refusals.has(error.code);
}

const notConnected: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/**
 * Whether nothing has reached the other side, so that the same may be sent again, anywhere, whatever it is: our own refusals, what says so
 * (`details.phase` is `not-sent`), and connections that did not come about. False when nobody knows.
 */
export function wasNotSent(error: unknown): boolean {
  return notSent(asForeign(error), mostCauses);
}

function notSent(error: ForeignError | undefined, mostLinks: number): boolean {
  let each = error;
  for (let left = mostLinks; each && left > 0; left--) {
    const phase = ownDetails(each)?.phase ?? each.phase;
    if (phase !== undefined) return phase === 'not-sent';
    if (isRefusal(each)) return true;
    if (notConnected.has(each.code) || each.syscall === 'connect') return true;
    if (errorStatus(each) !== undefined) return false;
    const several = severalIn(each);
    if (several) return several.every((one) => notSent(asForeign(one), left - 1));
    each = beneath(each);
  }
  return false;
}

/**
 * How long the other side asks to be left alone, in milliseconds, where the error or what has caused it carries that: `retryAfterMs`, also in
 * its details, or the headers of its response in every form of Retry-After. Of several (AggregateError) the smallest: then one of
 * them can be asked again. May be far away; whoever waits decides what is too long.
 * @param wallMs milliseconds since 1970, for a date in a response that has none of its own
 */
export function retryAfterMs(error: unknown, wallMs?: number): number | undefined {
  return askedMs(asForeign(error), wallMs, mostCauses);
}

function askedMs(error: ForeignError | undefined, wallMs: number | undefined, mostLinks: number): number | undefined {
  let each = error;
  for (let left = mostLinks; each && left > 0; left--) {
    const said = hintOf(each, 'retryAfterMs');
    if (typeof said === 'number' && said >= 0) return said;
    const headers = errorHeaders(each);
    const told = headers && parseRetryAfter(headers, wallMs);
    if (told !== undefined) return told;
    const waits = severalIn(each)?.map((one) => askedMs(asForeign(one), wallMs, left - 1));
    const known = waits?.filter((ms) => ms !== undefined) ?? [];
    if (known.length > 0) return Math.min(...known);
    each = beneath(each);
  }
  return undefined;
}
