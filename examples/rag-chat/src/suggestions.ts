import { extractive } from '@warmpath/core/models';
import { passageOf } from './answer.js';
import type { Library } from './library.js';

const most = 4;
/** Of many documents only the first are tried: each try is a whole search. */
const mostTries = 24;

/** One question for each of a few pages: those of which the documents have something to tell. */
export async function suggestionsFrom(library: Library): Promise<string[]> {
  const model = extractive();
  const suggestions: string[] = [];
  for (const title of library.titles.slice(0, mostTries)) {
    if (suggestions.length === most) break;
    const content = `Tell me about ${title}.`;
    const passages = library.search(content).map(passageOf);
    const { citations } = await model.generate({ messages: [{ role: 'user', content }], passages });
    if (citations.length > 0) suggestions.push(content);
  }
  return suggestions;
}
