import { describe, expect, it } from 'vitest';
import type { ChatAnswer, Passage } from './chat-model.js';
import { extractive } from './extractive.js';

const ask = (question: string, passages: readonly Passage[]): Promise<ChatAnswer> =>
  extractive().generate({ messages: [{ role: 'user', content: question }], passages });

const passage = (title: string, lines: readonly string[], heading?: string): Passage => ({
  id: `${title} ${heading}`,
  title,
  text: lines.join('\n'),
  ...(heading && { heading }),
});

const code = (...lines: string[]): string[] => ['```js', ...lines, '```'];

describe('the code of an answer', () => {
  it('comes from the section that tells how, not from where its words are repeated', async () => {
    const repeated = code(
      "const cache = await caches.open('responses')",
      'await cache.match(responses)',
      'cache.cache()',
    );
    const { text } = await ask('How do I cache responses?', [
      passage('Storage', ['## `caches.open(name)`', '', 'Opens a cache of responses.', '', ...repeated]),
      passage('Steps', [
        '## `steps.cache([opts])`',
        '',
        'Caches responses by the rules of the standard.',
        '',
        ...code('agent.use(steps.cache())', 'run()'),
      ]),
    ]);
    expect(text).toContain('steps.cache())');
    expect(text).not.toContain('caches.open');
  });

  it('uses the name that the prose gives as the answer, and is found by its own title', async () => {
    const basics = ['```js title="Basic reply"', "mock.reply(200, 'bread')", 'bake()', '```'];
    const lasting = ['```js title="Persisted reply"', "mock.reply(200, 'bread').persist()", 'bake()', '```'];
    const { text, citations } = await ask('How do I make a mock reply forever?', [
      passage('Mock', [
        '## Scope',
        '',
        '* `persist()` {Function} Makes the mock reply match indefinitely.',
        '',
        ...basics,
        '',
        ...lasting,
      ]),
    ]);
    expect(text).toContain('Persisted reply:\n\n```js\nmock.reply');
    expect(text).toContain('.persist()\nbake');
    expect(text).not.toContain('Basic reply');
    expect(citations.at(-1)?.quote).toContain('title="Persisted reply"');
  });

  it('does more than import', async () => {
    const { text } = await ask('How do I use a proxy?', [
      passage('Proxy', ['A proxy stands between two servers that use it.', '', ...code("import { Proxy } from 'x'")]),
      passage(
        'Proxy',
        ['## `new Proxy(url)`', '', ...code("import { Proxy } from 'x'", "new Proxy('http://y')", 'go()')],
        'Class',
      ),
    ]);
    expect(text).toContain("new Proxy('http://y')");
  });

  it('never shows the opposite', async () => {
    const { text } = await ask('How do I enable compression?', [
      passage('Server', [
        'The server enables compression by itself.',
        '',
        '## Disable it',
        '',
        ...code('serve({ compression: false })', 'compression.go()'),
      ]),
    ]);
    expect(text).toBe('The server enables compression by itself. [1]');
  });

  it('is no answer to whether something is so', async () => {
    const { text } = await ask('Does the agent retry requests?', [
      passage('Agent', [
        'The agent retries requests five times.',
        '',
        ...code('agent.retry(requests)', 'agent.retry(requests)'),
      ]),
    ]);
    expect(text).toBe('The agent retries requests five times. [1]');
  });
});

describe('answers with more than one part', () => {
  const oven = passage('Oven', ['# Oven', '', 'A heated box for bread, used by bakers.']);
  const pan = passage('Pan', ['# Pan', '', 'A flat vessel for eggs, used by cooks.']);

  it('tell both sides of a comparison in the order asked, each by its name', async () => {
    const { text } = await ask('What is the difference between Pan and Oven?', [oven, pan]);
    expect(text).toBe(
      'Pan: A flat vessel for eggs, used by cooks. [1] Oven: A heated box for bread, used by bakers. [2]',
    );
  });

  it('show a table of what is asked for, with the sentence that introduces it', async () => {
    const { text, citations } = await ask('What errors can the oven throw?', [
      passage('Errors', ['# Errors', '', 'The oven throws typed error objects, so that errors can be told apart.']),
      passage(
        'Errors',
        [
          '## Errors of heat',
          '',
          'These errors have options:',
          '',
          '| Error | When |',
          '| ----- | ---- |',
          '| `TOO_HOT` | It burns. |',
          '| `TOO_COLD` | It stays dough. |',
        ],
        'Errors of heat',
      ),
    ]);
    expect(text).toContain('typed error objects');
    expect(text).toContain('- `TOO_HOT` – When: It burns.\n- `TOO_COLD` – When: It stays dough. [2]');
    expect(citations[1]?.quote).toContain('| `TOO_COLD` |');
  });

  it('show the first items of a long list, and that there are more', async () => {
    const items = Array.from({ length: 12 }, (_, at) => `- Loaf ${at + 1}`);
    const { text, citations } = await ask('Which loaves can the oven bake?', [
      passage('Oven', ['# Oven', '', 'The oven can bake the following loaves:', '', ...items]),
    ]);
    expect(text).toContain('- Loaf 8\n- … [1]');
    expect(citations[0]?.quote).toMatch(/- Loaf 8$/);
  });
});
