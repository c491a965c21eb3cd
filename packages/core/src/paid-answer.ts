import type { BegunAnswer } from './begin-answer.js';
import { type Clock, isWarmpathError, WarmpathError } from './kernel/index.js';
import { type CostByUnit, type Lease, type Limiter, type Refused, settleFromStream } from './limiter/index.js';
import type { ChatChunk, ChatRequest, ModelCall } from './models/index.js';

/** Of English text, in the tokens of most models. A server that counts says better in the end. */
const charactersPerToken = 4;
/** What the frame of one message takes, in tokens. */
const tokensPerMessage = 4;

export interface PayingAttempt {
  readonly limiter: Limiter;
  readonly model: string;
  readonly request: ChatRequest;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/**
 * One attempt at a model that has limits: it begins when there is room for what it may cost, pays for what it has cost, and
 * what the model's server says of its own limits is heeded.
 * @throws WarmpathError `WP_RATE_LIMITED` when there is no room in time; what `begin` throws
 */
export async function payFor(
  { limiter, model, request, signal, clock }: PayingAttempt,
  begin: (call: Required<Pick<ModelCall, 'onResponse'>>) => Promise<BegunAnswer>,
): Promise<BegunAnswer> {
  const inputTokens = tokensIn(request);
  const { maxOutputTokens } = request;
  const estimate = { model, ...(maxOutputTokens !== undefined && { maxOutputTokens }) };
  const reservation = await limiter.reserve('', { inputTokens }, { signal, estimate });
  if (!reservation.ok) throw noRoom(model, reservation);
  const { lease } = reservation;
  const sentAt = clock.now();
  try {
    const begun = await begin({ onResponse: (response) => limiter.observe({ ...response, sentAt }) });
    const chunks = settleFromStream(lease, whole(begun), usedFrom(inputTokens));
    await chunks.next(); // what leaves now settles, also where nothing more is read
    return { first: begun.first, chunks };
  } catch (error) {
    settleFailed(lease, error, inputTokens);
    throw error;
  }
}

/** A request that was refused has used no token; of one that broke off nobody knows. */
function settleFailed(lease: Lease, error: unknown, inputTokens: number): void {
  const isRefused = isWarmpathError(error, 'WP_MODEL_REQUEST') && typeof error.details.status === 'number';
  lease.settle({ inputTokens: isRefused ? 0 : inputTokens, outputTokens: 0 }, 'cut');
}

async function* whole({ first, chunks }: BegunAnswer): AsyncGenerator<ChatChunk> {
  try {
    yield first;
    yield* chunks;
  } finally {
    await chunks.return(undefined); // `yield*` does so only once it has begun
  }
}

/** Counted by us as it comes, and by the server in the end, where it does that. */
function usedFrom(inputTokens: number): (chunk: ChatChunk, soFar: CostByUnit) => CostByUnit {
  return (chunk, { outputTokens = 0 }) => {
    if (chunk.type === 'finish') {
      const { usage = {} } = chunk;
      return {
        inputTokens: countOr(inputTokens, usage.inputTokens),
        outputTokens: countOr(outputTokens, usage.outputTokens),
      };
    }
    const more = chunk.type === 'text' ? chunk.text.length / charactersPerToken : 0;
    return { inputTokens, outputTokens: outputTokens + more };
  };
}

/** What a server counts may be anything. */
function countOr(ours: number, theirs = Number.NaN): number {
  return Number.isFinite(theirs) && theirs >= 0 ? theirs : ours;
}

function tokensIn({ messages, passages = [] }: ChatRequest): number {
  const texts = [...messages.map(({ content }) => content), ...passages.map(({ title, text }) => title + text)];
  const characters = texts.reduce((sum, text) => sum + text.length, 0);
  return Math.ceil(characters / charactersPerToken) + tokensPerMessage * messages.length;
}

/** Its limiter has waited already, so trying again at once is of no use; another model may have room. */
function noRoom(model: string, { dimension, limit, reason, waitMs }: Refused): WarmpathError {
  const again = Number.isFinite(waitMs) ? ` There will be in ${Math.ceil(waitMs)} ms.` : '';
  return new WarmpathError(
    'WP_RATE_LIMITED',
    `Model '${model}' has no room for the request within its limits (${dimension}: ${limit}, ${reason}).${again}`,
    {
      details: {
        model,
        dimension,
        limit,
        reason,
        retryable: false,
        ...(Number.isFinite(waitMs) && { retryAfterMs: Math.ceil(waitMs) }),
      },
    },
  );
}
