import type { DocumentSet } from './documents.js';
import { type DocumentPassage, splitPassages } from './passages.js';
import { createRetrieval } from './retrieval.js';

/** The documents, cut, indexed and ready to be asked. Read once at start; a changed document needs a restart. */
export interface Library {
  /** Changes with any document. */
  readonly digest: string;
  readonly documents: number;
  readonly passages: number;
  readonly titles: readonly string[];
  /** False when there is nothing but headings. */
  readonly hasText: boolean;
  search(question: string, limit?: number): DocumentPassage[];
  passage(id: string): PlacedPassage | undefined;
}

/** A passage with its neighbours in the same document. */
interface PlacedPassage {
  readonly passage: DocumentPassage;
  readonly previous: string | undefined;
  readonly next: string | undefined;
}

/** Words below a heading of either kind. */
function hasText({ text }: DocumentPassage): boolean {
  return /[\p{L}\p{N}]/u.test(text.replace(/^ {0,3}#{1,6}(?:[ \t].*)?$|^.*\n {0,3}(?:=+|-+)[ \t]*$/gm, ''));
}

export function createLibrary(set: DocumentSet): Library {
  const passages = set.documents.flatMap(splitPassages);
  const places = new Map(passages.map((passage, place) => [passage.id, place]));
  const retrieval = createRetrieval(passages);
  return {
    digest: set.digest,
    documents: set.documents.length,
    passages: passages.length,
    hasText: passages.some(hasText),
    titles: [...new Set(passages.map((passage) => passage.title))],
    search: retrieval.search,
    passage(id) {
      const place = places.get(id);
      const passage = place === undefined ? undefined : passages[place];
      if (place === undefined || !passage) return undefined;
      const neighbour = (offset: number): string | undefined => {
        const other = passages[place + offset];
        return other?.document === passage.document ? other.id : undefined;
      };
      return { passage, previous: neighbour(-1), next: neighbour(1) };
    },
  };
}
