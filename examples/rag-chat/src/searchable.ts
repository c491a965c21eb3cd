import { isLinkDefinition, plainText } from './markdown.js';
import type { DocumentPassage } from './passages.js';

/** What a passage is found by. */
export interface Searchable {
  readonly id: string;
  readonly title: string;
  /** The nearest heading counts more than those above it, which many passages share. */
  readonly heading: string;
  readonly above: string;
  /** Names that a list item or a table row explains, as in "* `timeout` {number} ...". */
  readonly defines: readonly string[];
  readonly text: string;
}

export function searchableOf(passage: DocumentPassage): Searchable {
  const [heading = '', ...above] = passage.headings.toReversed();
  return {
    id: passage.id,
    title: passage.title,
    heading,
    above: above.join(' '),
    defines: [...passage.text.matchAll(/^[ \t]*(?:[-*+]|\d+[.)]|\|)[ \t]+\**`([^`\n]+)`/gm)].flatMap(
      ([, name]) => name ?? [],
    ),
    text: searchableText(passage.text),
  };
}

/** The text as a reader sees it: addresses of links and images find nothing, nor do the types of options. */
function searchableText(text: string): string {
  return text
    .split('\n')
    .filter((line) => !isLinkDefinition(line))
    .map((line) => plainText(line.replace(linkedImage, '').replace(typeOfOption, '$1')))
    .join('\n');
}

const linkedImage = /!?\[!\[[^\]]*\]\([^)]*\)\]\([^)]*\)/g;
const typeOfOption = /^([ \t]*[-*+][ \t]+(?:`[^`]+`|Returns:|Type:)) \{[^{}]*\}/;

export function withoutCode(text: string): string {
  return text.replace(/^[ \t]*(`{3,}|~{3,})[\s\S]*?(?:^[ \t]*\1|$(?![\s\S]))/gm, '');
}
