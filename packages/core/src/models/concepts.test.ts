import { describe, expect, it } from 'vitest';
import { likeness, presence, unasked } from './concepts.js';
import { synonymsBy } from './synonyms.js';
import { pairsOf, type Term, termsOf, vocabularyOf } from './terms.js';

const concept = (word: string): Term => termsOf(word)[0] ?? { word, whole: word, parts: [] };

describe('presence', () => {
  it.each([
    ['the word itself', 'retries', 'It retried twice.', 1],
    ['an identifier in words', 'keepAliveTimeout', 'the timeout for keep-alive', 0.85],
    ['a word of the same meaning', 'cancel', 'It aborts the request.', 0.75],
    ['a part of an identifier', 'maxResponseSize', 'the size', 0.1],
    ['nothing of it', 'proxy', 'the pool', 0],
  ])('measures %s', (_, word, text, held) => {
    expect(presence(concept(word), vocabularyOf(text))).toBeCloseTo(held);
  });
});

describe('unasked', () => {
  it.each([
    ['proxy', 'EnvHttpProxyAgent', 3],
    ['proxy', 'ProxyAgent', 1],
    ['client', 'MockClient', 1],
    ['maximum response size', 'maxResponseSize', 0],
    ['cookies', 'MockClient', 0],
  ])('of a question about a %s, %s adds as many parts', (question, name, count) => {
    expect(unasked(concept(name).parts, vocabularyOf(question))).toBe(count);
  });
});

describe('likeness', () => {
  it('is the share of the smaller vocabulary that the larger holds', () => {
    expect(likeness(vocabularyOf('a red pool'), vocabularyOf('a red and blue pool of paint'))).toBe(1);
    expect(likeness(vocabularyOf('red pool'), vocabularyOf('blue pool'))).toBe(0.5);
    expect(likeness(new Map(), new Map())).toBe(1);
  });
});

describe('pairsOf', () => {
  it('finds words side by side in either order, past fillers', () => {
    expect(pairsOf(termsOf('size of the response'))).toEqual(new Set(['respons siz']));
    expect(pairsOf(termsOf('the response size'))).toEqual(new Set(['respons siz']));
    expect(pairsOf(termsOf('User-Agent'))).toEqual(new Set(['agent user']));
  });
});

describe('synonymsBy', () => {
  it('brings words into the form that its caller compares', () => {
    const upper = synonymsBy((word) => word.toUpperCase());
    expect(upper.get('CANCEL')).toEqual(new Set(['ABORT', 'CANCEL']));
    expect(upper.get('cancel')).toBeUndefined();
  });
});
