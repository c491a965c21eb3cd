import { describe, expect, it } from 'vitest';
import { splitPassages } from './passages.js';
import { readQuery } from './query.js';
import { createRetrieval } from './retrieval.js';
import { Sources } from './sources.js';

const passages = [
  { path: 'undici/docs/Client.md', text: '# Client\n\nA client sends requests over one connection.' },
  { path: 'warmpath/decisions/linter.md', text: '# One linter\n\nTypeScript 7 is read by few linters of a client.' },
  { path: 'notes.md', text: '# Notes\n\nWhat somebody wrote down of a client.' },
].flatMap((document) => splitPassages({ ...document, format: 'markdown' }));

const allowed = (question: string): string[] => {
  const isAllowed = new Sources(passages).allowedBy(readQuery(question, () => true));
  return passages.map(({ document }) => document).filter(isAllowed);
};

describe('Sources', () => {
  it('let any document answer where the question names no source', () => {
    expect(allowed('What is a client?')).toHaveLength(3);
  });

  it('let only the named ones answer', () => {
    expect(allowed('How do I use undici with TypeScript?')).toEqual(['undici/docs/Client.md']);
    expect(allowed('Does Warmpath use undici?')).toEqual(['undici/docs/Client.md', 'warmpath/decisions/linter.md']);
  });

  it('keep another project out of what is found', () => {
    const found = createRetrieval(passages).search('How do I use undici with TypeScript clients?');
    expect(found.map(({ document }) => document)).toEqual(['undici/docs/Client.md']);
  });
});
