import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSlugger, plainText } from './markdown.js';
import { countWords, type DocumentPassage, splitPassages } from './passages.js';

const split = (text: string): DocumentPassage[] => splitPassages({ path: 'docs/page.md', format: 'markdown', text });
const words = (count: number, word = 'word'): string =>
  Array.from({ length: count }, (_, at) => `${word}${at}`).join(' ');
const places = (text: string): string[] =>
  split(text).map(({ headings, anchor }) => `${headings.join(' > ')} #${anchor}`);

describe('splitPassages', () => {
  it('cuts at headings and keeps title, heading path, anchor and line', () => {
    const passages = split('# Guide\n\nHello.\n\n## One\n\nFirst.\n\n### Deep\n\nSecond.\n\n## Two\n\nThird.\n');
    expect(
      passages.map(({ title, headings, anchor, startLine, text }) => [title, headings, anchor, startLine, text]),
    ).toEqual([
      ['Guide', [], 'guide', 1, '# Guide\n\nHello.'],
      ['Guide', ['One'], 'one', 5, '## One\n\nFirst.'],
      ['Guide', ['One', 'Deep'], 'deep', 9, '### Deep\n\nSecond.'],
      ['Guide', ['Two'], 'two', 13, '## Two\n\nThird.'],
    ]);
  });

  it('numbers anchors that occur twice as GitHub does', () => {
    expect(
      places('# A\n\nx\n\n## Use\n\nx\n\n## Use\n\nx\n\n## Use-1\n\nx\n\n## `new Client(url[, options])`\n\nx'),
    ).toEqual([' #a', 'Use #use', 'Use #use-1', 'Use-1 #use-1-1', 'new Client(url[, options]) #new-clienturl-options']);
  });

  it('knows headings that are underlined', () => {
    expect(places('Title\n=====\n\nHello.\n\nPart *one*\n---\n\nMore.')).toEqual([' #title', 'Part one #part-one']);
  });

  it('takes no heading from inside a fence, of either kind, in a list or in a quote', () => {
    const text =
      '# A\n\n```sh\n# no\n```\n\n~~~\n# no\n```\n# no\n~~~\n\n- item\n\n  ```\n  # no\n  ```\n\n> ```\n> # no\n\n## Yes\n\nx';
    expect(places(text)).toEqual([' #a', 'Yes #yes']);
  });

  it('drops front matter and comments, except where they are shown as code', () => {
    const text =
      '---\ntitle: x\ntags: [a]\n---\n# A\n\n<!-- YAML\nadded: v1\n-->\n\nOne <!-- two --> three `<!-- kept -->`.\n\n```\n<!-- kept too -->\n```';
    const [passage] = split(text);
    expect(passage?.text).toBe('# A\n\n\n\n\n\nOne  three `<!-- kept -->`.\n\n```\n<!-- kept too -->\n```');
    expect(passage?.startLine).toBe(5);
  });

  it('keeps a rule at the top, and a comment that is never closed', () => {
    expect(split('---\n\nNot front matter here.\n\n---\n\nText.')[0]?.text).toContain('Not front matter');
    expect(split('# A\n\nText <!-- open\n\nMore.')[0]?.text).toContain('More.');
  });

  it('gives a heading without text of its own to the passage below it', () => {
    expect(split('# A\n\n## B\n\nText.').map(({ text, anchor }) => [anchor, text])).toEqual([
      ['b', '# A\n\n## B\n\nText.'],
    ]);
  });

  it('cuts a long section between its paragraphs, at 150 to 250 words', () => {
    const passages = split(`# A\n\n${Array.from({ length: 20 }, (_, at) => words(60, `p${at}x`)).join('\n\n')}`);
    expect(passages.length).toBeGreaterThan(4);
    for (const passage of passages) {
      expect(countWords(passage.text)).toBeGreaterThanOrEqual(150);
      expect(countWords(passage.text)).toBeLessThanOrEqual(290);
    }
  });

  it('never cuts a fence, a table or a list item', () => {
    const fence = `\`\`\`js\n${Array.from({ length: 80 }, (_, at) => `const line${at} = await call(${at})`).join('\n\n')}\n\`\`\``;
    const table = `| a | b |\n| - | - |\n${Array.from({ length: 80 }, (_, at) => `| one${at} two three | four |`).join('\n')}`;
    const item = `* \`name\` {number} ${words(140)}\n\n  ${words(140, 'more')}\n\n  \`\`\`\n  code\n  \`\`\``;
    const passages = split(
      `# A\n\n${words(100)}\n\n${fence}\n\n${words(100)}\n\n${table}\n\n${words(100)}\n\n${item}\n* next`,
    );
    for (const whole of [fence, table, item]) expect(passages.some(({ text }) => text.includes(whole))).toBe(true);
  });

  it('cuts between the items of a list inside an item', () => {
    const inner = Array.from({ length: 30 }, (_, at) => `  * \`option${at}\` {number}\n    ${words(18)}`).join('\n');
    const passages = split(`# A\n\n* \`options\` {Object}\n${inner}`);
    expect(passages.length).toBeGreaterThan(2);
    for (const { text } of passages) expect(countWords(text)).toBeLessThanOrEqual(290);
  });

  it('keeps a line that ends with a colon together with what follows', () => {
    const fence = `\`\`\`\n${words(120, 'code')}\n\`\`\``;
    const passages = split(`# A\n\n${words(160)}\n\nFor example:\n\n${fence}`);
    expect(passages.map(({ text }) => text.startsWith('For example:'))).toEqual([false, true]);
  });

  it('puts link definitions apart, marked as such', () => {
    const passages = split('# A\n\nSee [it][x].\n\n[x]: https://example.com\n[y]: other.md#z\n');
    expect(passages.map(({ onlyLinks }) => onlyLinks)).toEqual([false, true]);
  });

  it('cuts plain text without blank lines, and a line without an end', () => {
    const sentences = Array.from({ length: 60 }, (_, at) => `Sentence ${at} has just a few words.`);
    for (const text of [sentences.join(' '), sentences.join('\n'), words(900)]) {
      const passages = splitPassages({ path: 'a/notes.txt', format: 'text', text });
      expect(passages.length).toBeGreaterThan(1);
      expect(passages[0]?.title).toBe('notes');
      for (const passage of passages) expect(countWords(passage.text)).toBeLessThanOrEqual(250);
      expect(squeezed(passages.map((passage) => passage.text).join('\n'))).toBe(squeezed(text));
    }
  });

  it('takes nothing in text files for Markdown', () => {
    const text = '# not a heading\n<!-- kept -->';
    expect(splitPassages({ path: 'a.txt', format: 'text', text })[0]?.text).toBe(text);
  });

  it('loses and repeats nothing, and names the line where each passage starts', () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 25 }), fc.constantFrom('\n\n', '\n'), (blocks, between) => {
        const text = blocks.join(between);
        const passages = split(text);
        expect(squeezed(passages.map((passage) => passage.text).join('\n'))).toBe(squeezed(text));
        const lines = text.split('\n');
        for (const passage of passages) {
          const first = passage.text.split('\n')[0] ?? '';
          expect(lines[passage.startLine - 1]).toContain(first);
        }
        expect(new Set(passages.map(({ id }) => id)).size).toBe(passages.length);
      }),
      { numRuns: 500 },
    );
  });

  it('is quick with lines made to slow it down', () => {
    const nasty = [
      '<!--'.repeat(20_000),
      '<!-- a --> b '.repeat(20_000),
      'x <!-- y\n\n'.repeat(20_000),
      '```\n'.repeat(20_000),
      '`'.repeat(50_000),
      '['.repeat(50_000),
      `${'> '.repeat(20_000)}x`,
      `#${' '.repeat(50_000)}x#`,
      '* '.repeat(40_000),
    ];
    for (const text of nasty) expect(split(`# A\n\n${text}`)).not.toEqual([]); // quadratic time would not end in time
  });
});

const squeezed = (text: string): string => text.replace(/\s+/g, '');

const word = fc.constantFrom(
  'alpha',
  'beta',
  '`code`',
  'https://example.com',
  'gamma.',
  '**bold**',
  '[x](y.md)',
  '2.',
  'a|b',
);
const prose = fc.array(word, { minLength: 1, maxLength: 90 }).map((list) => list.join(' '));
const block = fc.oneof(
  { weight: 4, arbitrary: prose },
  fc.tuple(fc.integer({ min: 1, max: 4 }), prose).map(([level, text]) => `${'#'.repeat(level)} ${text.slice(0, 40)}`),
  prose.map((text) => `${text.slice(0, 30)}\n=====`),
  fc
    .array(prose, { minLength: 1, maxLength: 6 })
    .map((items) => items.map((item) => `* ${item}\n  more of it`).join('\n')),
  fc
    .array(prose, { minLength: 1, maxLength: 4 })
    .map((items) => items.map((item, at) => `${'  '.repeat(at)}- ${item}`).join('\n')),
  fc
    .tuple(fc.constantFrom('```', '~~~', '````'), prose)
    .map(([mark, text]) => `${mark}js\n# ${text}\n\n${text}\n${mark}`),
  prose.map((text) => `| h | i |\n|---|---|\n| ${text.replaceAll('|', '')} | x |`),
  prose.map((text) => `> ${text}\n> \`\`\`\n> ${text}\n> \`\`\``),
  fc.constant('[ref]: https://example.com/page'),
  fc.constant('```'),
);

describe('createSlugger', () => {
  it('follows GitHub for marks, letters of other scripts and spaces', () => {
    const slug = createSlugger();
    expect(slug("Event: 'undici:request:create'")).toBe('event-undicirequestcreate');
    expect(slug('Größe & Maß')).toBe('größe--maß');
    expect(slug('snake_case v2.0')).toBe('snake_case-v20');
  });
});

describe('plainText', () => {
  it('shows what a reader sees', () => {
    expect(plainText('The [Client](./Client.md) *class* of **undici** \\*really\\*, `a<b>`')).toBe(
      'The Client class of undici *really*, a<b>',
    );
  });
});
