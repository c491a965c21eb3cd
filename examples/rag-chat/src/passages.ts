import { createHash } from 'node:crypto';
import type { SourceDocument } from './documents.js';
import {
  closesFence,
  createSlugger,
  type Fence,
  type Heading,
  headingOf,
  isDelimiterRow,
  isLinkDefinition,
  leavesQuote,
  opensFence,
  startsListItem,
  underlineLevel,
  visibleLines,
} from './markdown.js';

/** A piece of a document that is small enough to quote from and large enough to understand. */
export interface DocumentPassage {
  /** Stable while the document keeps its path and the passage its place below its heading. */
  readonly id: string;
  readonly document: string;
  /** The document's first heading, or its file name. */
  readonly title: string;
  /** The headings above it, outermost first; the title is not repeated. */
  readonly headings: readonly string[];
  /** The anchor of its nearest heading; empty before the first one. */
  readonly anchor: string;
  /** The exact source, front matter and comments left out. */
  readonly text: string;
  /** Counted from 1. */
  readonly startLine: number;
  /** True when it holds only link definitions, which answer nothing. */
  readonly onlyLinks: boolean;
}

/** A passage is closed before it would exceed the most, and not before it has the least if more follows. */
const leastWords = 150;
const mostWords = 250;
/** A rest below this joins the piece before it. */
const shortRest = 40;

/** Lines that belong together: a paragraph, a fence, a table, a list item without the items inside it. */
interface Block {
  readonly kind: 'text' | 'item' | 'whole' | 'links';
  readonly start: number;
  /** One past its last line. */
  end: number;
}

interface Section {
  readonly headings: readonly Heading[];
  readonly anchor: string;
  /** The first line of the heading, or of the headings without text right above it. */
  start: number;
  readonly blocks: Block[];
}

interface Piece {
  readonly text: string;
  readonly startLine: number;
  readonly onlyLinks: boolean;
}

/** Cuts a document at its headings, then into pieces of about 150 to 250 words that keep fences, tables and items whole. */
export function splitPassages(document: SourceDocument): DocumentPassage[] {
  const lines =
    document.format === 'markdown'
      ? visibleLines(document.text)
      : document.text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  const sections = document.format === 'markdown' ? sectionsOf(lines) : [plainSection(lines)];
  const title = titleOf(document, sections);
  return sections.flatMap((section) =>
    piecesOf(lines, section).map((piece, part) => ({
      ...piece,
      id: idOf(document.path, section.anchor, part),
      document: document.path,
      title,
      headings: section.headings.map((heading) => heading.text).filter((text, at) => !(at === 0 && text === title)),
      anchor: section.anchor,
    })),
  );
}

export function countWords(text: string): number {
  return text.match(/\S+/g)?.length ?? 0;
}

function idOf(path: string, anchor: string, part: number): string {
  return createHash('sha256').update(`${path}#${anchor}~${part}`).digest('hex').slice(0, 16);
}

function titleOf(document: SourceDocument, sections: readonly Section[]): string {
  for (const { headings } of sections) {
    const [first] = headings;
    if (first?.text) return first.text;
  }
  const name = document.path.slice(document.path.lastIndexOf('/') + 1);
  return name.slice(0, name.lastIndexOf('.'));
}

/** Text without markup: its paragraphs are the lines between blank ones. */
function plainSection(lines: readonly string[]): Section {
  const section: Section = { headings: [], anchor: '', start: 0, blocks: [] };
  let open: Block | undefined;
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') open = undefined;
    else if (open) open.end = index + 1;
    else {
      open = { kind: 'text', start: index, end: index + 1 };
      section.blocks.push(open);
    }
  }
  return section;
}

function sectionsOf(lines: readonly string[]): Section[] {
  const slug = createSlugger();
  let section: Section = { headings: [], anchor: slug(''), start: 0, blocks: [] };
  const sections = [section];
  let open: Block | undefined;

  const begin = (heading: Heading, start: number): void => {
    const above = section.headings.filter((outer) => outer.level < heading.level);
    // A heading without text of its own lends its line to the section below it.
    const bare = section.blocks.length === 0;
    if (bare) sections.pop();
    section = {
      headings: [...above, heading],
      anchor: slug(heading.text),
      start: bare ? section.start : start,
      blocks: [],
    };
    sections.push(section);
    open = undefined;
  };

  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? '';
    const fence = opensFence(line);
    if (fence) {
      const end = fenceEnd(lines, index, fence);
      open = fencedBlock(section, open, line, index, end);
      index = end - 1;
      continue;
    }
    const heading = headingOf(line);
    if (heading) {
      begin(heading, index);
      continue;
    }
    const level = open?.kind === 'text' && open.end === index ? underlineLevel(line) : undefined;
    if (level && open) {
      section.blocks.pop();
      const text = lines.slice(open.start, index).join(' ');
      begin({ level, text: headingOf(`# ${text.trim()}`)?.text ?? text.trim() }, open.start);
      continue;
    }
    open = extend(section, open, lines, index);
  }
  return sections;
}

/** One past the line that closes the fence; an open fence reaches to the end. */
function fenceEnd(lines: readonly string[], start: number, fence: Fence): number {
  for (let index = start + 1; index < lines.length; index++) {
    const line = lines[index] ?? '';
    if (leavesQuote(line, fence)) return index;
    if (closesFence(line, fence)) return index + 1;
  }
  return lines.length;
}

/** A fence inside a list item is part of the item. */
function fencedBlock(section: Section, open: Block | undefined, line: string, start: number, end: number): Block {
  if (open?.kind === 'item' && !startsListItem(line) && /^\s/.test(line)) {
    open.end = end;
    return open;
  }
  const block: Block = { kind: startsListItem(line) ? 'item' : 'whole', start, end };
  section.blocks.push(block);
  return block;
}

/** Adds one line that is no heading and no fence; returns the block that the next line may continue. */
function extend(section: Section, open: Block | undefined, lines: readonly string[], index: number): Block | undefined {
  const line = lines[index] ?? '';
  if (line.trim() === '') return open;
  const adjacent = open?.end === index;
  const startsItem = startsListItem(line);
  const links = isLinkDefinition(line);
  const continues =
    open !== undefined &&
    !startsItem &&
    ((adjacent && (open.kind === 'links' ? links : !links || open.kind === 'item')) ||
      (open.kind === 'item' && /^(?: {2}|\t)/.test(line)));
  if (continues && open) {
    open.end = index + 1;
    if (open.kind === 'text' && isDelimiterRow(line)) {
      const table: Block = { kind: 'whole', start: open.start, end: open.end };
      section.blocks[section.blocks.length - 1] = table;
      return table;
    }
    return open;
  }
  const kind = startsItem ? 'item' : links ? 'links' : 'text';
  const block: Block = { kind, start: index, end: index + 1 };
  section.blocks.push(block);
  return block;
}

function piecesOf(lines: readonly string[], section: Section): Piece[] {
  const source = (start: number, end: number): string => lines.slice(start, end).join('\n');
  const heading = source(section.start, section.blocks[0]?.start ?? lines.length);
  if (section.blocks.length === 0) {
    return heading.trim() ? [pieceOf(heading, section.start, false)] : [];
  }
  const wordsOf = (block: Block): number => countWords(source(block.start, block.end));
  const endsWithColon = (block: Block): boolean => /:\s*$/.test(source(block.start, block.end));
  let start = section.start;
  return groupsOf(section.blocks, countWords(heading), wordsOf, endsWithColon).flatMap((group, place) => {
    const end = group.at(-1)?.end ?? start;
    const links = group.every((block) => block.kind === 'links') && (place > 0 || heading.trim() === '');
    const piece = pieceOf(source(start, end), start, links);
    start = end;
    return group.every((block) => block.kind === 'text') ? cutLong(piece) : [piece];
  });
}

/** Closes a group before it grows too long, keeps a line such as "For example:" with what follows, joins a short rest. */
function groupsOf(
  blocks: readonly Block[],
  headingWords: number,
  wordsOf: (block: Block) => number,
  leadsIn: (block: Block) => boolean,
): Block[][] {
  const groups: { blocks: Block[]; words: number }[] = [];
  let current = { blocks: [] as Block[], words: headingWords };
  for (const block of blocks) {
    const words = wordsOf(block);
    const last = current.blocks.at(-1);
    const together = current.words + words;
    const full = together > mostWords && (current.words >= leastWords || together > 2 * mostWords);
    if (last && ((block.kind === 'links') !== (last.kind === 'links') || full)) {
      groups.push(current);
      const lead = full && current.blocks.length > 1 && last.kind === 'text' && leadsIn(last);
      if (lead) {
        current.blocks.pop();
        current.words -= wordsOf(last);
      }
      current = lead ? { blocks: [last], words: wordsOf(last) } : { blocks: [], words: 0 };
    }
    current.blocks.push(block);
    current.words += words;
  }
  const before = groups.at(-1);
  const sameKind = before?.blocks.at(-1)?.kind !== 'links' && current.blocks[0]?.kind !== 'links';
  if (before && sameKind && current.words < shortRest && before.words + current.words <= mostWords + shortRest) {
    before.blocks.push(...current.blocks);
  } else groups.push(current);
  return groups.map((group) => group.blocks);
}

/** Drops blank lines around the text; the line number follows. */
function pieceOf(source: string, start: number, onlyLinks: boolean): Piece {
  const leading = /^(?:[ \t]*\n)*/.exec(source)?.[0] ?? '';
  return {
    text: source.slice(leading.length).trimEnd(),
    startLine: start + 1 + countLines(leading),
    onlyLinks,
  };
}

/** Running text over the limit is cut after sentences, or, where there are none, between words. */
function cutLong(piece: Piece): Piece[] {
  if (countWords(piece.text) <= mostWords + shortRest) return [piece];
  const parts = piece.text.match(/[\s\S]+?(?:[.!?]["')\]]*(?=\s)|\n|$)/g) ?? [];
  const pieces: Piece[] = [];
  let text = '';
  let { startLine } = piece;
  const close = (): void => {
    if (text.trim()) pieces.push(pieceOf(text, startLine - 1, false));
    startLine += countLines(text);
    text = '';
  };
  for (const part of parts.flatMap(cutWords)) {
    if (countWords(text) + countWords(part) > mostWords) close();
    text += part;
  }
  close();
  return pieces;
}

function cutWords(part: string): string[] {
  if (countWords(part) <= mostWords) return [part];
  return part.match(/(?:\s*\S+){1,200}\s*/g) ?? [part];
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}
