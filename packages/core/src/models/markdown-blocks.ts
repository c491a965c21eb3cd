import { type Span, sentenceSpans } from './sentences.js';

export type BlockKind = 'heading' | 'paragraph' | 'quote' | 'item' | 'code' | 'table';

/** A piece of a Markdown text, by where it stands; the text between blocks (comments, rules, references) is noise. */
export interface Block extends Span {
  readonly kind: BlockKind;
  /** Of headings 1 to 6; of list items their indentation in columns. */
  readonly level: number;
}

interface Line extends Span {
  readonly text: string;
}

const heading = /^ {0,3}(#{1,6})\s+\S/;
const fence = /^\s*(`{3,}|~{3,})/;
const item = /^(\s*)(?:[-*+]|\d{1,9}[.)])\s+(?=\S)/;
const underline = /^ {0,3}(?:=+|-+)\s*$/;
const thematicBreak = /^ {0,3}(?:(?:\*\s*){3,}|(?:-\s*){3,}|(?:_\s*){3,})$/;
const tableRule = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const reference = /^ {0,3}\[[^\]]+\]:\s/;
const quote = /^ {0,3}>/;
const loneTag = /^\s*<[/!]?[a-z][^<>]*>\s*$/i;

/** The blocks of a Markdown text, in order and apart. Reads CommonMark's common cases line by line. Cost: linear. */
export function blocksOf(text: string): Block[] {
  const lines = linesOf(text);
  const blocks: Block[] = [];
  let at = skipFrontMatter(lines);
  while (at < lines.length) {
    const line = lines[at] as Line;
    const after = skipNoise(lines, at);
    if (after > at) {
      at = after;
      continue;
    }
    const taken = readBlock(lines, at);
    const last = lines[taken.next - 1] as Line;
    blocks.push({ kind: taken.kind, level: taken.level, start: line.start + taken.indent, end: last.end });
    at = taken.next;
  }
  return blocks;
}

interface Taken {
  readonly kind: BlockKind;
  readonly level: number;
  /** Of the first line, not part of the block. */
  readonly indent: number;
  readonly next: number;
}

function readBlock(lines: readonly Line[], at: number): Taken {
  const line = lines[at] as Line;
  const opening = fence.exec(line.text)?.[1];
  if (opening) return { kind: 'code', level: 0, indent: indentOf(line), next: endOfFence(lines, at, opening) };
  const title = heading.exec(line.text)?.[1];
  if (title) return { kind: 'heading', level: title.length, indent: 0, next: at + 1 };
  if (isTable(lines, at)) {
    return { kind: 'table', level: 0, indent: 0, next: endWhere(lines, at + 2, ({ text }) => !text.includes('|')) };
  }
  const marker = item.exec(line.text);
  if (marker) {
    const level = (marker[1] as string).replaceAll('\t', '    ').length;
    return { kind: 'item', level, indent: marker[0].length, next: endWhere(lines, at + 1, interrupts) };
  }
  if (quote.test(line.text)) {
    return { kind: 'quote', level: 0, indent: 0, next: endWhere(lines, at + 1, ({ text }) => !quote.test(text)) };
  }
  return readParagraph(lines, at);
}

function readParagraph(lines: readonly Line[], at: number): Taken {
  let next = at + 1;
  while (next < lines.length) {
    const line = lines[next] as Line;
    if (underline.test(line.text))
      return { kind: 'heading', level: line.text.includes('=') ? 1 : 2, indent: 0, next: next + 1 };
    if (interrupts(line) || isTable(lines, next)) break;
    next++;
  }
  return { kind: 'paragraph', level: 0, indent: indentOf(lines[at] as Line), next };
}

/** What ends a paragraph or a list item without a blank line before it. */
function interrupts({ text }: Line): boolean {
  return (
    text.trim() === '' ||
    heading.test(text) ||
    fence.test(text) ||
    item.test(text) ||
    quote.test(text) ||
    text.trimStart().startsWith('<!--')
  );
}

function endOfFence(lines: readonly Line[], at: number, opening: string): number {
  const closes = ({ text }: Line): boolean => {
    const trimmed = text.trim();
    return trimmed.startsWith(opening) && trimmed === trimmed.charAt(0).repeat(trimmed.length);
  };
  return Math.min(lines.length, endWhere(lines, at + 1, closes) + 1);
}

function isTable(lines: readonly Line[], at: number): boolean {
  const rule = lines[at + 1]?.text;
  return (
    rule?.includes('-') === true && rule.includes('|') && lines[at]?.text.includes('|') === true && tableRule.test(rule)
  );
}

function skipFrontMatter(lines: readonly Line[]): number {
  if (lines[0]?.text.trim() !== '---') return 0;
  const end = lines.findIndex((line, index) => index > 0 && line.text.trim() === '---');
  const isData = end > 0 && lines.slice(1, end).some(({ text }) => /^[\w-]+:/.test(text));
  return isData ? end + 1 : 0;
}

/** The first line at or after `at` that says something. */
function skipNoise(lines: readonly Line[], at: number): number {
  const text = lines[at]?.text ?? '';
  if (text.trimStart().startsWith('<!--')) {
    const end = endWhere(lines, at, (line) => line.text.includes('-->'));
    return end === lines.length ? at + 1 : end + 1;
  }
  const isNoise = text.trim() === '' || thematicBreak.test(text) || reference.test(text) || loneTag.test(text);
  return isNoise ? at + 1 : at;
}

function endWhere(lines: readonly Line[], from: number, ends: (line: Line) => boolean): number {
  let at = from;
  while (at < lines.length && !ends(lines[at] as Line)) at++;
  return at;
}

function indentOf(line: Line): number {
  return line.text.length - line.text.trimStart().length;
}

function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  for (let start = 0; start <= text.length; ) {
    const newline = text.indexOf('\n', start);
    const stop = newline === -1 ? text.length : newline;
    const end = text[stop - 1] === '\r' && stop > start ? stop - 1 : stop;
    lines.push({ text: text.slice(start, end), start, end });
    start = stop + 1;
  }
  return lines;
}

/** The sentences of a block, by where they stand in the whole text. */
export function sentencesOf(text: string, block: Span): Span[] {
  const spans = sentenceSpans(text.slice(block.start, block.end));
  return spans.map(({ start, end }) => ({ start: start + block.start, end: end + block.start }));
}
