import { describe, expect, it } from 'vitest';
import type { ChatChunk, Passage } from './chat-model.js';
import { CitationFinder, promptOf } from './prompt.js';

const passages: Passage[] = ['a', 'b', 'c'].map((id) => ({ id, title: id.toUpperCase(), text: `about ${id}` }));

function markersIn(pieces: readonly string[]): number[] {
  const finder = new CitationFinder(passages);
  const chunks: ChatChunk[] = pieces.flatMap((piece) => [...finder.read(piece)]);
  expect(chunks.map((chunk) => (chunk.type === 'text' ? chunk.text : '')).join('')).toBe(pieces.join(''));
  return chunks.flatMap((chunk) => (chunk.type === 'citation' ? [chunk.citation.marker] : []));
}

describe('citations in a streamed text', () => {
  it.each([
    ['Warm [2], cold [1] and warm [2].', [2, 1]],
    ['Both [1, 3] or [2][3].', [1, 3, 2]],
    ['In `list[1]` and ``a`[1]`` but [2].', [2]],
    ['```js\nlist[1]\n```\nand [3]', [3]],
    ['Nothing: [4] [0] [] [1.5] [one] [1', []],
    ['Nested [see [2]]', [2]],
  ])('%j names %j, whole or letter by letter', (text, expected) => {
    expect(markersIn([text])).toEqual(expected);
    expect(markersIn([...text])).toEqual(expected);
  });
});

describe('the prompt', () => {
  it('is what was asked when there are no passages', () => {
    const messages = [{ role: 'user', content: 'x' }] as const;
    expect(promptOf({ messages })).toBe(messages);
  });

  it('puts the numbered passages after the system messages and before the conversation', () => {
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'x' },
    ] as const;
    const prompt = promptOf({ messages, passages });
    expect(prompt.map(({ role }) => role)).toEqual(['system', 'system', 'user']);
    expect(prompt[1]?.content).toMatch(/\[1\] A\nabout a\n\n\[2\] B\nabout b\n\n\[3\] C\nabout c$/);
  });
});
