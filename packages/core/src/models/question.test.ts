import { describe, expect, it } from 'vitest';
import { readQuestion } from './question.js';

describe('readQuestion', () => {
  it.each([
    ['How do I deploy to Kubernetes?', { isHowTo: true, action: 'deploi' }],
    ['What is a Pool?', { isDefinition: true, isValue: false }],
    ['Why ESM only?', { isDefinition: true }],
    ['What is the connection timeout?', { isValue: true }],
    ['How many redirects are followed?', { isValue: true, isCount: true }],
    ['Does it support HTTP/2?', { isYesNo: true, isHowTo: false }],
    ['Pool versus Agent', { isComparison: true }],
    ['What happens when the store dies?', { isDefinition: false, listed: '' }],
    ['How does the cache work?', { isDefinition: true, isHowTo: false }],
    ['Does undici retry by default?', { isYesNo: true, isValue: false, subject: 'undici' }],
    ['What errors can it throw?', { listed: 'error' }],
    ['Which HTTP methods are cached?', { listed: 'method' }],
    ['What does maxOrigins do?', { listed: '' }],
  ])('sees what "%s" asks for', (question, expected) => {
    expect(readQuestion(question)).toMatchObject(expected);
  });

  it.each([
    ['How do I deploy to Kubernetes?', ['deploy', 'Kubernetes']],
    ['Which React hook fetches data?', ['React']],
    ['Proxy settings?', []],
    ['How do I use a client?', []],
  ])('knows that "%s" is about %j above all', (question, words) => {
    expect(readQuestion(question).essential.map(({ word }) => word)).toEqual(words);
  });

  it('knows what answers to some asking words look like', () => {
    const fits = (question: string, text: string): boolean => readQuestion(question).looksLike?.test(text) ?? false;
    expect(fits('When was it built?', 'It was built in 1913.')).toBe(true);
    expect(fits('When was it built?', 'It was built by hand.')).toBe(false);
    expect(fits('Who built it?', 'It was built by Ada Lovelace.')).toBe(true);
    expect(fits('How many are there?', 'There are three.')).toBe(true);
    expect(fits('What is it?', 'It is a bridge.')).toBe(false);
  });
});
