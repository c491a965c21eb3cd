import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { ChatRequest, Passage } from './chat-model.js';
import { extractive } from './extractive.js';
import { CitationFinder, promptOf, promptVersion } from './prompt.js';

// Answers are kept for days, also over an upgrade. Where one of these tests fails, what is answered has changed: raise the
// version, and write the new digest beside it.

const passages: readonly Passage[] = [
  {
    id: 'oven',
    title: 'Oven',
    heading: 'new Oven([options])',
    text: [
      'An `Oven` bakes what is put into it. It heats up before the first loaf, which takes ten minutes.',
      '',
      '### `new Oven([options])`',
      '',
      '* `options` {Object} (optional)',
      '  * `maxHeat` {number} The hottest it gets, in degrees. **Default:** `250`.',
      '  * `doorTimeout` {number|null} How long the door may stay open, in seconds. **Default:** `30`.',
      '',
      '### `oven.close([callback])`',
      '',
      'Closes the door and waits until it has cooled. Returns a promise.',
    ].join('\n'),
  },
  {
    id: 'guide',
    title: 'Guide',
    text: [
      'To bake bread, put the dough into an oven and wait:',
      '',
      '```js',
      'const oven = new Oven({ maxHeat: 220 });',
      "await oven.bake('bread');",
      '```',
      '',
      '| bread | minutes |',
      '|-------|---------|',
      '| rye   | 55      |',
      '| white | 35      |',
      '',
      '1. Knead the dough.',
      '2. Let it rest for an hour.',
      '3. Bake it.',
    ].join('\n'),
  },
];
const questions = [
  'What is the default maxHeat of an Oven?',
  'What is an Oven?',
  'How do I bake bread?',
  'How long does rye bread take?',
  'What does oven.close() return?',
  'How long may the door stay open?',
  'Show me the code to bake bread',
  'Who won the war?',
];
const requestOf = (question: string): ChatRequest => ({ messages: [{ role: 'user', content: question }], passages });

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}

describe('the version that kept answers belong to', () => {
  it('is another one once the extractive model answers otherwise', async () => {
    const answers = await Promise.all(questions.map((question) => extractive().generate(requestOf(question))));
    expect([extractive().version, digestOf(answers)]).toEqual(['1.3', 'fd7507f6e8d8aba9']);
  });

  it('is another one where the extractive model may say more', () => {
    expect(extractive({ sentences: 5 }).version).not.toBe(extractive().version);
  });

  it('is another one once models are told otherwise, or their answers are read otherwise', () => {
    const prompts = questions.map((question) => promptOf(requestOf(question)));
    const read = ['It is so [1].', 'And [2, 1], `[1]`, [9].'].map((text) => [
      ...new CitationFinder(passages).read(text),
    ]);
    expect([promptVersion, digestOf([prompts, read])]).toEqual(['1', 'd37f3d7c81c82bb3']);
  });
});
