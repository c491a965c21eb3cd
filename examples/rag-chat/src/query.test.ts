import { describe, expect, it } from 'vitest';
import { readQuery } from './query.js';

const known = new Set(['abort', 'request', 'timeout', 'max', 'pool', 'agent', 'store', 'send']);
const read = (question: string) => readQuery(question, (term) => known.has(term));
const firsts = (question: string): string[] => read(question).words.map(({ terms }) => terms[0] ?? '');

describe('readQuery', () => {
  it('keeps the words that tell', () => {
    expect(firsts('How do I abort a request?')).toEqual(['abort', 'request']);
  });

  it('adds words of the same meaning, when a document holds them', () => {
    expect(read('How do I cancel a request?').words[0]?.others).toEqual(['abort']);
    expect(read('maximum').words[0]?.others).toEqual(['max']);
  });

  it('takes "how long" for a timeout', () => {
    expect(firsts('How long may a request take?')).toContain('timeout');
  });

  it('leaves out short words that no document holds, and keeps long ones, which may be misspelt', () => {
    expect(firsts('xyz requets')).toEqual(['requet']);
  });

  it('sees what asks for a definition and what compares', () => {
    expect(read('What is a Pool?')).toMatchObject({ wantsDefinition: true, compares: false });
    expect(read('What is the difference between Pool and Agent?').compares).toBe(true);
    expect(read('How do I close a Pool?')).toMatchObject({ wantsDefinition: false, compares: false });
  });

  it('sees what asks which things there are', () => {
    expect(read('What errors can it throw?').wantsList).toBe(true);
    expect(read('What does maxOrigins do?').wantsList).toBe(false);
    expect(read('What happens when a store dies?').wantsList).toBe(false);
  });

  it('counts a verb that goes with anything less than what it is done to', () => {
    const [send, request] = read('How do I send a request?').words;
    expect(send?.share).toBeLessThan(1);
    expect(request?.share).toBe(1);
  });

  it('looks for no more words than a number has bits', () => {
    expect(read(Array.from({ length: 100 }, (_, at) => `longword${at}`).join(' ')).words).toHaveLength(24);
  });
});
