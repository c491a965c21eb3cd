import { expect, it } from 'vitest';
import { type ChatChunk, collectAnswer } from './chat-model.js';

async function* of(...chunks: ChatChunk[]): AsyncGenerator<ChatChunk> {
  yield* chunks;
}

it('collectAnswer puts a streamed answer together', async () => {
  const citation = { passage: 'p', marker: 1 };
  const usage = { outputTokens: 2 };
  const chunks = of(
    { type: 'text', text: 'a ' },
    { type: 'citation', citation },
    { type: 'text', text: 'b' },
    { type: 'finish', reason: 'stop', usage },
  );
  expect(await collectAnswer(chunks)).toEqual({ text: 'a b', citations: [citation], reason: 'stop', usage });
});

it('collectAnswer refuses a stream without its finish', async () => {
  await expect(collectAnswer(of({ type: 'text', text: 'a' }))).rejects.toMatchObject({ code: 'WP_STREAM_INCOMPLETE' });
});
