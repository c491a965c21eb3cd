import { asForeign, asRecord, type ForeignError } from './foreign-error.js';

/**
 * OpenAI and what speaks its language (`insufficient_quota`), Moonshot (`exceeded_current_quota_error`), Anthropic (`billing_error`), DeepSeek
 * and OpenRouter (`insufficient_balance`, `insufficient_credits`), Google's older APIs (`dailyLimitExceeded`).
 */
const spentCode =
  /^(?:insufficient_(?:quota|balance|credits?|funds)|exceeded_current_quota(?:_error)?|billing_\w+|daily_?limit_?exceeded\w*)$/i;

/**
 * Groq, OpenAI and Mistral ("tokens per day (TPD)"), Gemini's quota ids ("GenerateRequestsPerDayPerProject"), Bedrock ("too many
 * tokens per day"), OpenRouter ("free-models-per-day"), Cloudflare ("daily free allocation"): of a limit where the words are about limits.
 */
const longPeriod = /per[ _-]?(?:day|month)|\b(?:TPD|RPD|daily|monthly)\b/i;
const ofLimits = /quota|rate.?limit|\blimit|exceed|exhaust|too many|allocation|\b429\b/i;

/**
 * Accounts without money. That a "current quota" is exceeded says so of OpenAI only: Gemini has the same words for a minute, and tells
 * of its own pages behind them.
 */
const ofMoney =
  /credit balance is too low|insufficient (?:balance|credits|funds)|spending limit|exceeded your current quota(?!.{0,200}(?:ai\.google|generativelanguage|aistudio))/is;

/** The ids of Gemini's quotas stand behind a long message. */
const longestText = 8_000;

/**
 * Whether the refusal is of a quota that does not come back soon: of a day, of a month, or of an account's money. Looks into codes, types and
 * words, also of the body that the client keeps.
 */
export function isQuotaSpent(error: ForeignError): boolean {
  const inner = asForeign(error.error);
  const innermost = asForeign(inner?.error);
  return (
    [error.code, error.type, inner?.code, inner?.type, innermost?.code, innermost?.type].some(isSpentCode) ||
    [error.message, inner?.message, innermost?.message, error.body, error.responseBody].some(isSpentText) ||
    [error.errorDetails, inner?.details, innermost?.details, error.details].some(isSpentDetail)
  );
}

function isSpentCode(code: unknown): boolean {
  return typeof code === 'string' && spentCode.test(code);
}

function isSpentText(text: unknown): boolean {
  if (typeof text !== 'string') return false;
  const begin = text.length <= longestText ? text : text.slice(0, longestText);
  return (longPeriod.test(begin) && ofLimits.test(begin)) || ofMoney.test(begin);
}

/** google.rpc.QuotaFailure: which quotas were met, by id. */
function isSpentDetail(details: unknown): boolean {
  if (!Array.isArray(details)) return false;
  return details.some((detail: unknown) => {
    const violations = asRecord(detail)?.violations;
    return Array.isArray(violations) && violations.some((each: unknown) => isLong(asRecord(each)?.quotaId));
  });
}

function isLong(quotaId: unknown): boolean {
  return typeof quotaId === 'string' && longPeriod.test(quotaId);
}
