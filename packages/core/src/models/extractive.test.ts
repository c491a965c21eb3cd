import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import { type ChatAnswer, type ChatChunk, type ChatRequest, collectAnswer, type Passage } from './chat-model.js';
import { extractive } from './extractive.js';

const model = extractive();

const passage = (id: string, title: string, text: string, heading?: string): Passage => ({
  id,
  title,
  text,
  ...(heading && { heading }),
});

const ask = (question: string, passages: readonly Passage[], more: Partial<ChatRequest> = {}): Promise<ChatAnswer> =>
  model.generate({ messages: [{ role: 'user', content: question }], passages, ...more });

/** What every answer promises, whatever it says. */
function expectSound(answer: ChatAnswer, passages: readonly Passage[]): void {
  const markers = [...withoutCode(answer.text).matchAll(/\[(\d+)\]/g)].map(([, marker]) => Number(marker));
  expect(markers).toEqual(answer.citations.map(({ marker }) => marker));
  expect(markers).toEqual(markers.map((_, index) => index + 1));
  for (const citation of answer.citations) {
    const cited = passages.find(({ id }) => id === citation.passage);
    expect(citation.quote).toBeTruthy();
    expect(cited?.text).toContain(citation.quote);
  }
}

const withoutCode = (text: string): string => text.replace(/(`{3,})[\s\S]*?\1|(`+)[\s\S]*?\2/g, '');

const bakery = [
  passage(
    'oven',
    'Oven',
    [
      'An `Oven` bakes what is put into it. It heats up before the first loaf, which takes',
      'ten minutes. See the [manual](https://example.org/oven) for more.',
      '',
      '### `new Oven([options])`',
      '',
      '* `options` {Object} (optional)',
      '  * `maxHeat` {number} The hottest it gets, in degrees. **Default:** `250`.',
      '  * `doorTimeout` {number|null} How long the door may stay open, in',
      '    seconds. **Default:** `30`.',
    ].join('\n'),
  ),
  passage(
    'howto',
    'Guide',
    [
      '<!-- for bakers -->',
      '[![build](https://example.org/badge.svg)](https://example.org)',
      '',
      'To bake bread, put the dough into an oven and wait:',
      '',
      '```js',
      'const oven = new Oven()',
      'await oven.bake(dough)',
      'oven.close()',
      '```',
      '',
      'Bread keeps for three days.',
    ].join('\n'),
    'Baking bread',
  ),
  passage(
    'flour',
    'Flour',
    [
      '| Kind | Protein | Use |',
      '| --- | --- | --- |',
      '| Rye | 9 % | dark bread |',
      '| Wheat | 12 % | white bread |',
    ].join('\n'),
    'Kinds of flour',
  ),
];

describe('what the extractive model answers', () => {
  it('says what a thing is with the sentences that define it', async () => {
    const answer = await ask('What is an Oven?', bakery);
    expect(answer.text).toMatch(/^An `Oven` bakes what is put into it\. It heats up .* ten minutes\. \[1\]/);
    expect(answer.citations[0]?.passage).toBe('oven');
    expectSound(answer, bakery);
  });

  it('gives the default of an option that is named, whole and readable', async () => {
    const answer = await ask('What is the default doorTimeout?', bakery);
    expect(answer.text).toBe(
      '`doorTimeout` (number or null): How long the door may stay open, in seconds. **Default:** `30`. [1]',
    );
    expectSound(answer, bakery);
  });

  it('finds an identifier that the question spells as words', async () => {
    const answer = await ask('how long is the door timeout', bakery);
    expect(answer.text).toContain('`doorTimeout`');
  });

  it('shows the code when asked how', async () => {
    const answer = await ask('How do I bake bread?', bakery);
    expect(answer.text).toContain('put the dough into an oven and wait:\n\n```js\nconst oven = new Oven()');
    expect(answer.text).toContain('```\n\n[');
    expectSound(answer, bakery);
  });

  it('reads the row of a table', async () => {
    const answer = await ask('How much protein has wheat flour?', bakery);
    expect(answer.text).toContain('Wheat – Protein: 12 %; Use: white bread [1]');
    expectSound(answer, bakery);
  });

  it('puts both sides of a comparison side by side', async () => {
    const passages = [
      passage('pool', 'Pool', 'A pool of clients for one origin. It opens sockets lazily.'),
      passage('agent', 'Agent', 'An `Agent` sends requests to many origins. Each origin has a `Pool`.'),
    ];
    const answer = await ask('What is the difference between a Pool and an Agent?', passages);
    expect(answer.text).toContain('A pool of clients for one origin.');
    expect(answer.text).toContain('An `Agent` sends requests to many origins.');
    expectSound(answer, passages);
  });

  it('takes a sentence along without which the chosen one says nothing', async () => {
    const passages = [
      passage('a', 'Cache', 'The lookup is shared by all callers. This halves the traffic to the origin.'),
    ];
    const answer = await ask('What halves the traffic to the origin?', passages);
    expect(answer.text).toBe('The lookup is shared by all callers. This halves the traffic to the origin. [1]');
  });

  it('does not say the same twice', async () => {
    const text = 'The retry limit is five attempts for each request.';
    const answer = await ask('What is the retry limit?', [passage('a', 'One', text), passage('b', 'Two', text)]);
    expect(answer.citations).toHaveLength(1);
  });

  it('keeps to the number of sentences it was made with', async () => {
    const text = 'Bread is old. Bread is food. Bread rises with yeast. Bread needs salt. Bread was baked in Egypt.';
    const one = extractive({ sentences: 1 });
    const request = {
      messages: [{ role: 'user', content: 'Tell me about bread' }],
      passages: [passage('a', 'Bread', text)],
    } as const;
    expect((await one.generate(request)).citations).toHaveLength(1);
    expect((await model.generate(request)).citations.length).toBeLessThanOrEqual(3);
  });

  it.each([
    ['a question about something else', 'What is the capital of France?'],
    ['a question of which only a common word is held', 'How do I use the quantum teleporter?'],
    ['a question without a word of meaning', 'What is it about?'],
    ['an empty question', ''],
  ])('says honestly that the documents do not answer %s', async (_, question) => {
    const answer = await ask(question, bakery);
    expect(answer).toEqual({ text: 'The documents do not say anything about that.', citations: [], reason: 'stop' });
  });

  it('names what a description stands under, when the description does not', async () => {
    const text = '### `oven.close([callback])`\n\nShuts the door gently, waiting for the bread.';
    const answer = await ask('How do I shut the door?', [passage('a', 'Oven', text)]);
    expect(answer.text).toBe('`oven.close([callback])`: Shuts the door gently, waiting for the bread. [1]');
    expect(answer.citations[0]?.quote).toBe('Shuts the door gently, waiting for the bread.');
  });

  it('leaves out what is far less to the point than the best', async () => {
    const text =
      'Dough rests in a warm bowl until evening. The bowl is washed by hand. Some bakers rest while others knead dough.';
    const answer = await ask('Does dough rest in a bowl until evening?', [passage('a', 'Work', text)]);
    expect(answer.text).toBe('Dough rests in a warm bowl until evening. [1]');
    const open = await ask('Tell me where dough rests, in a bowl or elsewhere', [passage('a', 'Work', text)]);
    expect(open.text).toBe('Dough rests in a warm bowl until evening. [1]');
  });

  it('gives the one option that the question spells out, and none that is like it', async () => {
    const text = [
      '* `maxSize` {number} The maximum size of a loaf. **Default:** `5`.',
      '* `maxDoughSize` {number} The largest piece. **Default:** `7`.',
    ].join('\n');
    const answer = await ask('What is the maximum size of the dough?', [passage('a', 'Loaf', text)]);
    expect(answer.text).toBe('`maxDoughSize` (number): The largest piece. **Default:** `7`. [1]');
  });

  it('finds what a word of the same meaning says', async () => {
    const text = 'Baking is aborted with the red button. Baking is started with the green one.';
    const answer = await ask('How do I cancel baking?', [passage('a', 'Oven', text)]);
    expect(answer.text).toBe('Baking is aborted with the red button. [1]');
  });

  it('prefers the general thing to one of a more special name', async () => {
    const passages = [
      passage('special', 'SteamTurboOven', 'Closes the oven at once, gently.', '`steamTurboOven.close()`'),
      passage('general', 'Oven', 'Closes the oven at once, gently.', '`oven.close()`'),
    ];
    expect((await ask('How do I close an oven?', passages)).citations.map((each) => each.passage)).toEqual(['general']);
  });

  it('does not pass a sentence off as an answer that lacks the name asked about', async () => {
    const text = 'An oven heats up quickly. Every oven has a door.';
    expect((await ask('How quickly does a Zanussi heat up?', [passage('a', 'Oven', text)])).citations).toEqual([]);
    expect((await ask('How do I paint an oven?', [passage('a', 'Oven', text)])).citations).toEqual([]);
  });

  it('answers the last user message, not an earlier one', async () => {
    const messages = [
      { role: 'user', content: 'What is an Oven?' },
      { role: 'assistant', content: 'An oven.' },
      { role: 'user', content: 'What is the default maxHeat?' },
    ] as const;
    const answer = await model.generate({ messages, passages: bakery });
    expect(answer.text).toMatch(/^`maxHeat`/);
  });

  it('does not take a bracketed number of a text for a marker', async () => {
    const passages = [passage('a', 'Heat', 'The heat of an oven is measured in kelvin [7], as `list[3]` shows.')];
    const answer = await ask('How is the heat of an oven measured?', passages);
    expect(answer.text).toBe('The heat of an oven is measured in kelvin (7), as `list[3]` shows. [1]');
    expectSound(answer, passages);
  });

  it('reads no more than its bound, however long the passages are', async () => {
    const long = passage('a', 'Long', `${'Nothing of note. '.repeat(20_000)}The secret ingredient is salt.`);
    expect((await ask('What is the secret ingredient?', [long])).citations).toEqual([]);
  });
});

describe('how the extractive model streams', () => {
  const request: ChatRequest = { messages: [{ role: 'user', content: 'How do I bake bread?' }], passages: bakery };

  async function chunksOf(chunks: AsyncIterable<ChatChunk>): Promise<ChatChunk[]> {
    const all: ChatChunk[] = [];
    for await (const chunk of chunks) all.push(chunk);
    return all;
  }

  it('gives one word a chunk, each citation after its marker, and the end last', async () => {
    const chunks = await chunksOf(model.stream(request));
    expect(chunks.at(-1)).toEqual({ type: 'finish', reason: 'stop' });
    let text = '';
    for (const chunk of chunks) {
      if (chunk.type === 'text') {
        expect(chunk.text.trim()).not.toMatch(/\s/);
        text += chunk.text;
      } else if (chunk.type === 'citation') expect(text.trimEnd().endsWith(`[${chunk.citation.marker}]`)).toBe(true);
    }
  });

  it('gives the same answer each time, streamed or not', async () => {
    const streamed = await collectAnswer(model.stream(request));
    expect(await model.generate(request)).toEqual(streamed);
    expect(await chunksOf(model.stream(request))).toEqual(await chunksOf(model.stream(request)));
  });

  it('ends with the reason of the signal', async () => {
    const controller = new AbortController();
    const gone = new Error('gone');
    const read = async (): Promise<void> => {
      for await (const _ of model.stream(request, { signal: controller.signal })) controller.abort(gone);
    };
    await expect(read()).rejects.toBe(gone);
    await expect(model.generate(request, { signal: AbortSignal.abort(gone) })).rejects.toBe(gone);
  });

  it('stops at maxOutputTokens with the reason length, and before a stop sequence', async () => {
    const cut = await model.generate({ ...request, maxOutputTokens: 3 });
    expect(cut.reason).toBe('length');
    expect(cut.text.trim().split(/\s+/)).toHaveLength(3);
    const whole = await model.generate(request);
    const stopped = await model.generate({ ...request, stop: ['```js'] });
    expect(stopped.reason).toBe('stop');
    expect(stopped.text).toBe(whole.text.slice(0, whole.text.indexOf('```js')));
  });

  it('keeps the pace of wordsPerSecond on its clock', async () => {
    const clock = createFakeClock();
    const slow = extractive({ wordsPerSecond: 10, clock });
    const iterator = slow.stream(request)[Symbol.asyncIterator]();
    expect((await iterator.next()).done).toBe(false);
    let arrived = false;
    const second = iterator.next().then(() => {
      arrived = true;
    });
    await clock.advance(99);
    expect(arrived).toBe(false);
    await clock.advance(1);
    await second;
    await iterator.return?.();
    expect(clock.pending).toBe(0);
  });

  it('refuses bad options', () => {
    expect(() => extractive({ sentences: 0 })).toThrowError(/option 'sentences' must be a whole number from 1 to 20/);
    expect(() => extractive({ wordPerSecond: 3 } as object)).toThrowError(/did you mean 'wordsPerSecond'/);
  });
});

const markdown = fc.array(
  fc.oneof(
    fc.constantFrom(
      '# Oven',
      '## Heat',
      '* `heat` {number} The heat. **Default:** `5`.',
      '- [ ] a task',
      '```js',
      '```',
      '~~~',
      '> quoted heat',
      '| heat | oven |',
      '| --- | --- |',
      '<!-- heat',
      '-->',
      '',
      '---',
      '[heat]: https://example.org',
      'Heat is [warm][1] (see `a[1]`).',
      'It rises. E.g. heat rises [2]',
      '  1. heat the oven:',
      '\tindented heat',
      '<div>heat</div>',
      'Setext heat',
      '===',
      'Oven:',
    ),
    fc.string({ maxLength: 40 }),
  ),
  { maxLength: 30 },
);

describe('whatever the passages hold', () => {
  it('quotes are parts of their passages and markers count from 1', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(markdown, { minLength: 1, maxLength: 3 }),
        fc.constantFrom('What is heat?', 'How do I heat an oven?', 'default heat', 'difference between oven and heat'),
        fc.constantFrom('\n', '\r\n'),
        async (texts, question, newline) => {
          const passages = texts.map((lines, index) => passage(`p${index}`, 'Oven', lines.join(newline)));
          expectQuotes(await ask(question, passages), passages);
        },
      ),
      { numRuns: 300 },
    );
  });

  function expectQuotes(answer: ChatAnswer, passages: readonly Passage[]): void {
    expect(answer.citations.map(({ marker }) => marker)).toEqual(answer.citations.map((_, index) => index + 1));
    for (const { marker, quote, passage: id } of answer.citations) {
      expect(answer.text).toContain(`[${marker}]`);
      expect(passages.find((candidate) => candidate.id === id)?.text).toContain(quote);
    }
  }
});

describe("answers from undici's own documentation", () => {
  const root = dirname(createRequire(import.meta.url).resolve('undici/package.json'));
  const file = (path: string): Passage[] => sectionsOf(path, readFileSync(join(root, path), 'utf8'));
  const api = (name: string): Passage[] => file(`docs/docs/api/${name}.md`);

  it.each([
    [
      'What is the default keepAliveTimeout of a Client?',
      ['Client'],
      /`keepAliveTimeout` .*\*\*Default:\*\* `4e3`\. \[1\]/,
    ],
    ['What does the RetryAgent do?', ['RetryAgent'], /^A `Dispatcher` that automatically retries failed requests/],
    ['How many times does RetryAgent retry by default?', ['RetryAgent'], /`maxRetries` .*\*\*Default:\*\* `5`\. \[1\]/],
    [
      'Which status codes does RetryAgent retry?',
      ['RetryAgent'],
      /`statusCodes` .*`\[500, 502, 503, 504, 429\]`\. \[1\]/,
    ],
    [
      'What is the difference between Pool and Agent?',
      ['Pool', 'Agent'],
      /A pool of `Client` instances connected to the same upstream/,
    ],
    ['How many redirects does the redirect interceptor follow?', ['Interceptors'], /`maxRedirections`/],
    ['How do I mock a request in tests?', ['MockAgent'], /```[\s\S]*MockAgent/],
  ])('%s', async (question, names, expected) => {
    const passages = names.flatMap(api);
    const best = bestOf(question, passages);
    const answer = await ask(question, best);
    expect(answer.text).toMatch(expected);
    expectSound(answer, best);
  });

  it('quotes every file of it word for word', async () => {
    for (const name of readdirSync(join(root, 'docs/docs/api'))) {
      const passages = file(`docs/docs/api/${name}`).slice(0, 12);
      const subject = name.replace('.md', '');
      for (const question of [`What is ${subject}?`, `How do I use ${subject}?`, `default options of ${subject}`]) {
        expectSound(await ask(question, passages), passages);
      }
    }
  });
});

describe('what a question wants', () => {
  it('never shows a tree of files to who asks how something works', async () => {
    const tree = '## Cache\n\n```\nsrc/\n  cache/   the cache works here\n```\n\nThe cache works by keeping answers.';
    const answer = await ask('How does the cache work?', [passage('tree', 'Cache', tree)]);
    expect(answer.text).toContain('keeping answers');
    expect(answer.text).not.toContain('```');
  });

  it('tells what an error means and how to mend it', async () => {
    const text =
      '## E_FULL\n\nThe queue is full and takes no more.\n\n**Why:** too much came in.\n\n**Mend:** take in less at the door.';
    const answer = await ask('What does E_FULL mean and how do I fix it?', [passage('full', 'Errors', text)]);
    expect(answer.text).toContain('queue is full');
    expect(answer.text).toContain('Mend:');
  });

  it('lists events by the sections that are headed so', async () => {
    const text =
      "## Event: `'open'`\n\nEmitted when the door has been opened.\n\n## Event: `'shut'`\n\nEmitted when the door has been shut again.";
    const answer = await ask('Which events does an Oven emit?', [passage('events', 'Oven', text)]);
    expect(answer.text).toContain("`'open'`: Emitted");
    expect(answer.text).toContain("`'shut'`: Emitted");
  });
});

function sectionsOf(path: string, text: string): Passage[] {
  const title = /^# (.+)$/m.exec(text)?.[1] ?? path;
  return text.split(/^(?=#{1,4} )/m).map((section, index) => {
    const heading = /^#+ (.+)$/m.exec(section)?.[1];
    return passage(`${path}#${index}`, title, section, heading);
  });
}

/** As a retriever would: the six sections that share the most words with the question. */
function bestOf(question: string, passages: readonly Passage[]): Passage[] {
  const words = question.toLowerCase().match(/\w{4,}/g) ?? [];
  const score = ({ title, heading, text }: Passage): number => {
    const all = `${title} ${title} ${heading ?? ''} ${text}`.toLowerCase();
    return words.filter((word) => all.includes(word)).length + (heading === title ? 1 : 0) - Math.log(all.length) / 100;
  };
  return passages.toSorted((left, right) => score(right) - score(left)).slice(0, 6);
}
