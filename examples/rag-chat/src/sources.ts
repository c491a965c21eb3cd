import type { DocumentPassage } from './passages.js';
import type { Query } from './query.js';
import { termsOf } from './tokens.js';

/**
 * Where documents come from, by the first part of their paths. Several sources lie side by side in one index, and a
 * question that names one of them, such as a library, is not answered from what another says beside its own subject.
 */
export class Sources {
  readonly #byTerm = new Map<string, string>();

  constructor(passages: readonly DocumentPassage[]) {
    for (const { document } of passages) {
      const source = sourceOf(document);
      if (source) this.#byTerm.set(termsOf(source)[0] ?? '', source);
    }
  }

  /** Whether an answer may come from a document: from any where the question names no source. */
  allowedBy({ words }: Query): (document: string) => boolean {
    const named = new Set(words.flatMap(({ terms }) => this.#byTerm.get(terms[0] ?? '') ?? []));
    return (document) => named.size === 0 || named.has(sourceOf(document));
  }
}

function sourceOf(document: string): string {
  return document.slice(0, Math.max(0, document.indexOf('/')));
}
