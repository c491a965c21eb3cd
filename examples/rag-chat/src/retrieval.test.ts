import { beforeAll, describe, expect, it } from 'vitest';
import { installedSources, readDocuments } from './documents.js';
import { createLibrary, type Library } from './library.js';
import { type DocumentPassage, splitPassages } from './passages.js';
import { createRetrieval } from './retrieval.js';
import { stem, termsOf, wordsOf } from './tokens.js';

describe('the documentation of undici', () => {
  let library: Library;
  beforeAll(async () => {
    library = createLibrary(await readDocuments(installedSources(), () => {}));
  });

  it.each<[question: string, fact: RegExp]>([
    [
      'What is the default keepAliveTimeout of a Client?',
      /`keepAliveTimeout` \{number\|null\}[\s\S]{0,250}\*\*Default:\*\* `4e3`/,
    ],
    ['How do I mock a request in tests?', /intercept undici HTTP requests and return mocked values/],
    ['What does RetryAgent do?', /automatically retries failed requests/],
    [
      'How can I send requests through a proxy?',
      /The proxy url should be passed to the `Client` or `Pool` constructor/,
    ],
    ['How do I abort a request?', /A request can be aborted with an `AbortSignal`/],
    [
      'How many redirects does the redirect interceptor follow?',
      /`maxRedirections` \{number\} Maximum number of redirects/,
    ],
    ['Does undici support HTTP/2?', /enables HTTP\/2 by default when a TLS server negotiates it/],
    ['Which status codes does RetryAgent retry?', /\[500, 502, 503, 504, 429\]/],
    ['How long does undici wait for headers?', /`headersTimeout`/],
    ['How do I set the global dispatcher?', /setGlobalDispatcher/],
    ['What is the default pipelining of a Client?', /`pipelining` \{number\|null\}[\s\S]*?\*\*Default:\*\* `1`/],
    ['How do I use client certificates?', /cert/],
    ['keepalivetimout default', /keepAliveTimeout/],
    ['how fast is undici compared with axios?', /axios/],
    ['How do I cancel a request?', /A request can be aborted with an `AbortSignal`/],
    ['How do I prevent real requests in tests?', /use `mockAgent.disableNetConnect\(\)`/],
    ['How do I limit the number of connections?', /`connections` \{number\|null\}/],
    ['What is the maximum size of a response?', /`maxResponseSize`/],
    ['What is the difference between Pool and Agent?', /A pool of .{0,20}Client.{0,5} instances/],
    ['What is the difference between Pool and Agent?', /An `Agent` dispatches requests against multiple/],
    ['What happens when the store dies?', /\*\*A store may die\.\*\*/],
  ])('answers %s', (question, fact) => {
    const found = library.search(question).map((passage) => passage.text.replace(/\s+/g, ' '));
    expect(found.filter((text) => fact.test(text))).not.toEqual([]);
  });

  it('gives at most as many passages as asked for, and never the same text twice', () => {
    const found = library.search('How do I use undici.request?', 10);
    expect(found).toHaveLength(10);
    expect(new Set(found.map(({ text }) => text.replace(/\W+/g, ''))).size).toBe(10);
  });

  it('finds nothing for words that no document holds, and nothing for no words', () => {
    expect(library.search('zanzibar xylophone')).toEqual([]);
    expect(library.search('?!')).toEqual([]);
  });

  it('knows each passage and its neighbours in the same document', () => {
    const [first] = library.search('What does RetryAgent do?');
    const placed = library.passage(first?.id ?? '');
    expect(placed?.passage).toBe(first);
    expect(placed?.previous).toBeUndefined();
    expect(library.passage(placed?.next ?? '')?.previous).toBe(first?.id);
    expect(library.passage('nothing')).toBeUndefined();
  });
});

describe('createRetrieval', () => {
  const retrieval = (text: string) => createRetrieval(splitPassages({ path: 'docs/a.md', format: 'markdown', text }));
  const top = (text: string, question: string): string | undefined => retrieval(text).search(question)[0]?.anchor;
  const page = '# Page\n\n## Limits\n\nThe `maxSockets` option caps sockets.\n\n## Mocks\n\nA MockAgent stands in.\n';

  it('finds an identifier whole, in parts and misspelt', () => {
    expect(top(page, 'maxSockets')).toBe('limits');
    expect(top(page, 'maximum sockets?')).toBe('limits');
    expect(top(page, 'maxSokets')).toBe('limits');
    expect(top(page, 'mocking')).toBe('mocks');
  });

  it('lets another page have its say beside one that repeats itself', () => {
    const about = (path: string, sections: number, rest: string): DocumentPassage[] => {
      const text = Array.from(
        { length: sections },
        (_, at) => `## Part\n\nBread number${at} is baked with care${rest}.`,
      );
      return splitPassages({ path, format: 'markdown', text: `# Page\n\nWelcome.\n\n${text.join('\n\n')}` });
    };
    const passages = [...about('a.md', 8, ''), ...about('b.md', 1, ' and, on some days, also with seeds on top')];
    const found = createRetrieval(passages).search('bread care', 5);
    expect(new Set(found.map(({ document }) => document)).size).toBe(2);
  });

  it('never offers link definitions as an answer', () => {
    expect(retrieval('# A\n\nText.\n\n[telescope]: https://example.com/telescope').search('telescope')).toEqual([]);
  });

  it('survives questions made of marks, huge words and other scripts', () => {
    for (const question of ['***', 'x'.repeat(2_000), '(((', '日本語 の 質問', '__proto__ constructor', '🔥']) {
      expect(Array.isArray(retrieval(page).search(question))).toBe(true);
    }
  });
});

describe('terms', () => {
  it('keeps identifiers in one piece and adds their parts', () => {
    expect(wordsOf('Set keepAliveTimeout, undici.request or HTTP/2.')).toEqual([
      'Set',
      'keepAliveTimeout',
      'undici.request',
      'or',
      'HTTP/2',
    ]);
    expect(termsOf('keepAliveTimeout')).toEqual(['keepalivetimeout', 'keep', 'aliv', 'timeout']);
    expect(termsOf('EnvHTTPProxy')).toEqual(['envhttpproxy', 'env', 'http', 'proxy']);
    expect(termsOf('HTTP/2')).toEqual(['http/2', 'http2']);
  });

  it('brings forms of a word together and leaves short words alone', () => {
    for (const forms of [
      ['request', 'requests'],
      ['retry', 'retries'],
      ['abort', 'aborted', 'aborting'],
      ['intercept', 'interceptor', 'interceptors'],
    ]) {
      expect(new Set(forms.map(stem)).size).toBe(1);
    }
    expect(['dns', 'tls', 'class', 'bus'].map(stem)).toEqual(['dns', 'tls', 'class', 'bus']);
  });
});
