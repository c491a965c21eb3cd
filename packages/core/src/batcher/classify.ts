import {
  errorChain,
  errorStatus,
  isOfNetwork,
  isRetryable,
  isWarmpathError,
  type WarmpathError,
  type WarmpathErrorCode,
} from '../kernel/index.js';
import type { FailureKind, StatedCap } from './contract.js';

/** RFC 9110 §15.5.1, §15.5.14, §15.5.21: the request itself is not right, or too large. */
const compositionStatuses = new Set([400, 413, 422]);

/** RFC 4918 §11.4; of Text Embeddings Inference for whatever goes wrong inside the model. */
const failedDependency = 424;

const outOfMemory = /out of memory|out_of_memory|\bOOM\b/i;

/** Of servers that refuse an input with 500, such as llama.cpp. */
const tooLargeInput =
  /input (?:\(\d+ tokens\) )?is too (?:large|long|big)|exceeds? the (?:available |maximum )?context/i;

/** Another time rather than another way, though they exceed something as well. */
const laterWords = /rate.?limit|too many requests|quota|overloaded|timed? ?out|deadline|max(?:imum)? retries/i;

const compositionWords =
  /too (?:long|large|big)|too many (?:tokens|inputs?|texts|items|instances|documents|elements)|batch size|maximum (?:context|request|batch|length|number)|exceed/i;

/** Refusals with 400 that have nothing to do with the items: Gemini's of a key or a country, a model that is not for this. */
const callersFault =
  /\bapi.?key\b|location is not supported|model\b.{0,60}(?:not found|is not supported|does not (?:exist|support))/i;

/** How servers say how much goes into one request: OpenAI, Azure, TEI, Cohere, Gemini, Voyage, Bedrock, DashScope. */
const statedItems = [
  /maximum allowed batch size (\d[\d,_]*)/i,
  /batch size limit is (\d[\d,_]*)/i,
  /batch size is invalid, it should not be larger than (\d[\d,_]*)/i,
  /array with maximum length (\d[\d,_]*)/i,
  /(?:texts|inputs|items|requests) must be at most (\d[\d,_]*)/i,
  /at most (\d[\d,_]*) (?:texts|inputs|items|requests)/i,
  /max(?:imum)? (?:number of inputs is|item count:) (\d[\d,_]*)/i,
  /(?:max(?:imum)?|limit) (?:of |is )?(\d[\d,_]*) (?:texts|inputs|items|requests)/i,
];
const statedWeight = [
  /(\d[\d,_]*) tokens per (?:request|batch|call)/i,
  /tokens per (?:submitted )?(?:request|batch|call) is (\d[\d,_]*)/i,
  /too many tokens in batch\. max is (\d[\d,_]*)/i,
  /input token count is \d[\d,_]* but (?:the )?model (?:only )?supports up to (\d[\d,_]*)/i,
];

/**
 * What a failed call says about its items, by its status and its words, be they its own or those of its cause. 400, 413 and 422 and
 * words such as "too many tokens" are of the composition, with the cap where it is stated; 408, 429, 5xx, timeouts and the
 * network are transient; other statuses and mistakes in the program (TypeError) are global; anything else is unknown.
 */
export function classifyFailure(error: unknown): FailureKind | StatedCap {
  if (!(error instanceof Error)) return 'unknown';
  const chain = errorChain(error);
  const words = chain.map(({ message }) => message).join('\n');
  const status = firstOf(chain, errorStatus);
  if (status !== undefined) return kindOfStatus(status, words, error);
  if (error.name === 'AbortError') return 'global';
  if (chain.some(saysRetryable)) return 'transient';
  if (isWarmpathError(error) && !error.code.startsWith('WP_MODEL_')) return kindOfOwn(error);
  if (chain.some(isOfNetwork)) return 'transient';
  // Marked as not to be tried again, or a mistake in the program.
  if (!isRetryable(error) && !chain.some(isOfInput)) return 'global';
  if (error instanceof ReferenceError || error instanceof SyntaxError) return 'global';
  const stated = composition(words);
  if (stated !== 'composition' || outOfMemory.test(words)) return stated;
  if (laterWords.test(words)) return 'transient';
  return compositionWords.test(words) ? 'composition' : 'unknown';
}

/** Whether a transient error may be an item's fault all the same: a 500 says no more than that something went wrong. */
export function isAmbiguous(error: unknown): boolean {
  return error instanceof Error && firstOf(errorChain(error), errorStatus) === 500;
}

function kindOfStatus(status: number, words: string, error: Error): FailureKind | StatedCap {
  if (outOfMemory.test(words)) return 'composition';
  if (compositionStatuses.has(status)) return callersFault.test(words) ? 'global' : composition(words);
  if (status === failedDependency) return 'unknown';
  if (status >= 500 && tooLargeInput.test(words)) return 'composition';
  const isLater = status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
  if (!isLater) return saysRetryable(error) ? 'transient' : 'global';
  return isRetryable(error) ? 'transient' : 'global';
}

/** Of our own, where neither a status nor `retryable` has said it. */
function kindOfOwn(error: WarmpathError): FailureKind {
  if (error.code === 'WP_RESPONSE_TOO_LARGE') return 'composition';
  if (error.code === 'WP_HTTP_FAILED') return isRetryable(error) ? 'transient' : 'global';
  return passing.has(error.code) ? 'transient' : 'global';
}

const passing: ReadonlySet<WarmpathErrorCode> = new Set<WarmpathErrorCode>([
  'WP_DEADLINE',
  'WP_RATE_LIMITED',
  'WP_OVERLOADED',
  'WP_BREAKER_OPEN',
]);

/** A value out of range, or an argument that Node or undici does not take: it may have come from one of the items. */
function isOfInput(error: Error): boolean {
  if (error instanceof RangeError) return true;
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' && /^(?:UND_)?ERR_(?:INVALID_|NOT_SUPPORTED)/.test(code);
}

function composition(words: string): 'composition' | StatedCap {
  const maxItems = firstNumber(statedItems, words);
  const maxWeight = firstNumber(statedWeight, words);
  if (maxItems === undefined && maxWeight === undefined) return 'composition';
  return {
    kind: 'composition',
    ...(maxItems === undefined ? {} : { maxItems }),
    ...(maxWeight === undefined ? {} : { maxWeight }),
  };
}

function firstNumber(patterns: readonly RegExp[], words: string): number | undefined {
  for (const pattern of patterns) {
    const [, digits] = pattern.exec(words) ?? [];
    if (digits !== undefined) return Number(digits.replaceAll(/[,_]/g, ''));
  }
  return undefined;
}

function firstOf<T>(chain: readonly Error[], read: (error: Error) => T | undefined): T | undefined {
  for (const error of chain) {
    const found = read(error);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether it says of itself that the same may go well another time. */
function saysRetryable(error: Error): boolean {
  const own: unknown = Reflect.get(error, 'retryable');
  return (own ?? (isWarmpathError(error) ? error.details.retryable : undefined)) === true;
}
