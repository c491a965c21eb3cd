import type { ModelEvent } from './events.js';
import { abortReason, type Clock, joinSignals, WarmpathError } from './kernel/index.js';
import type { ChatChunk, ChatModel, ChatRequest, ModelCall } from './models/index.js';
import type { AttemptCall } from './retry/index.js';
import { meterStream } from './streaming/index.js';

/** An answer whose first chunk is there: from here on nobody is asked instead. */
export interface BegunAnswer {
  readonly first: ChatChunk;
  /** What follows it. */
  readonly chunks: AsyncGenerator<ChatChunk>;
}

interface Watch {
  readonly clock: Clock;
  readonly report: (event: ModelEvent) => void;
}

/**
 * One attempt at one model, up to its first chunk. The attempt's signal counts until then; the answer's own, `whole`, to
 * the end. Its end is one event.
 * @throws the model's error; WarmpathError `WP_STREAM_INCOMPLETE` when it ends without a finish chunk, now or while iterating
 */
export async function beginAnswer(
  model: ChatModel,
  request: ChatRequest,
  attempt: AttemptCall,
  whole: AbortSignal,
  watch: Watch,
  call: Pick<ModelCall, 'onResponse'> = {},
): Promise<BegunAnswer> {
  const signal = joinSignals(attempt.signal, whole) as AbortSignal;
  const chunks = metered(model.name, model.stream(request, { ...call, signal }), whole, watch);
  const first = await chunks.next();
  if (first.done) throw incomplete(model.name);
  if (attempt.signal.aborted) {
    await chunks.return(undefined); // nobody waits for this attempt any more
    throw abortReason(attempt.signal);
  }
  return { first: first.value, chunks };
}

async function* metered(
  model: string,
  chunks: AsyncIterable<ChatChunk>,
  whole: AbortSignal,
  { clock, report }: Watch,
): AsyncGenerator<ChatChunk> {
  let outputTokens: number | undefined;
  const watched = meterStream(complete(model, chunks), {
    clock,
    onEnd: ({ outcome, firstChunkMs, totalMs }) =>
      report({
        type: 'model.answered',
        model,
        outcome: whole.aborted ? 'aborted' : outcome, // a model fails when its readers leave in the middle of a chunk
        firstChunkMs,
        totalMs,
        outputTokens,
      }),
  });
  for await (const chunk of watched) {
    if (chunk.type === 'finish') outputTokens = chunk.usage?.outputTokens;
    yield chunk;
  }
}

async function* complete(model: string, chunks: AsyncIterable<ChatChunk>): AsyncGenerator<ChatChunk> {
  let finished = false;
  for await (const chunk of chunks) {
    finished ||= chunk.type === 'finish';
    yield chunk;
  }
  if (!finished) throw incomplete(model);
}

function incomplete(model: string): WarmpathError {
  return new WarmpathError('WP_STREAM_INCOMPLETE', `The answer of model '${model}' ended without its finish chunk.`, {
    details: { model, retryable: true },
  });
}
