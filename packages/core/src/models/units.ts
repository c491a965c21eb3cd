import type { Passage } from './chat-model.js';
import { type Block, blocksOf, sentencesOf } from './markdown-blocks.js';
import { readable, readableCode } from './readable.js';
import type { Span } from './sentences.js';

/** One thing that an answer can say: a sentence, a list item, a table row, a block of code, a list with its introduction. */
export interface Unit extends Span {
  readonly kind: 'sentence' | 'item' | 'row' | 'code' | 'list';
  readonly passage: Passage;
  /** Of the passage, 0 is best. */
  readonly rank: number;
  /** The passage's text from `start` to `end`. */
  readonly quote: string;
  /** For reading, as Markdown. */
  readonly text: string;
  /** The headings above it inside the passage, outermost first. */
  readonly headings: readonly string[];
  /** The first sentence or block of code of its section. */
  readonly opens: boolean;
  /** What it is about without saying so: the items above it, the sentence that introduces it. */
  readonly lead: string;
  /** What an item or row explains, such as the name of an option. */
  readonly label: string;
}

const longestItem = 600;
const longestUnit = 2_000;
const longestList = 1_200;
const mostListed = 8;
/** Fewer of a longer list would say too little. */
const fewestListed = 3;
const longestCodeLines = 50;

/** How a sentence begins that needs the one before it. */
export const leansBack: RegExp =
  /^(?:it|its|this|that|these|those|they|their|them|such|he|she|also|however|instead|therefore|thus|hence|otherwise|then|so|but|and|or|in (?:that|this|these|those|such) (?:case|example|mode)s?|for (?:example|instance)|here|both|neither|moreover|furthermore|additionally|similarly|likewise|as such|as a result)\b/i;

/** What sends the reader to another place instead of saying something: "See X.", "Implements X." */
export const pointsElsewhere: RegExp =
  /^(?:see|refer to|explore other)\b|, see [^,]+$|^(?:implements|extends|inherits|see also)[:\s]+\S+(?:\s\S+){0,2}$/i;

/** What says in passing what a word means, as in "pipelining (sending several requests ...)". */
const glosses = /\p{L} \(\p{L}+ing [^()]+\)/u;

/** Everything in a passage that could be said in an answer, in order. Cost: linear in the passage. */
export function unitsOf(passage: Passage, rank: number): Unit[] {
  return new UnitReader(passage, rank).read();
}

class UnitReader {
  readonly #passage: Passage;
  readonly #rank: number;
  readonly #units: Unit[] = [];
  readonly #headings: { readonly level: number; readonly text: string }[] = [];
  readonly #parents: { readonly level: number; readonly text: string }[] = [];
  #lead: (Span & { readonly text: string }) | undefined;
  #opened = false;

  constructor(passage: Passage, rank: number) {
    this.#passage = passage;
    this.#rank = rank;
  }

  read(): Unit[] {
    const blocks = blocksOf(this.#passage.text);
    for (const [index, block] of blocks.entries()) {
      if (block.kind !== 'item' && block.kind !== 'code') this.#parents.length = 0;
      if (block.kind === 'heading') this.#readHeading(block);
      else if (block.kind === 'paragraph' || block.kind === 'quote')
        this.#readProse(block, blocks.slice(index + 1, index + 2 + mostListed));
      else if (block.kind === 'item') this.#readItem(block);
      else if (block.kind === 'code') this.#readCode(block);
      else this.#readTable(block);
    }
    return this.#units;
  }

  #readHeading(block: Block): void {
    const text = readable(this.#slice(block).replace(/^ {0,3}#+\s+|\s+#+\s*$|\n\s*[=-]+\s*$/g, ''));
    while ((this.#headings.at(-1)?.level ?? 0) >= block.level) this.#headings.pop();
    this.#headings.push({ level: block.level, text });
    this.#lead = undefined;
    this.#opened = false;
  }

  #readProse(block: Block, following: readonly Block[]): void {
    const spans = this.#withAntecedents(sentencesOf(this.#passage.text, block));
    for (const [index, span] of spans.entries()) {
      const isLast = index === spans.length - 1;
      const list = isLast && this.#slice(span).endsWith(':') ? this.#listAfter(span, following) : undefined;
      if (list) this.#add('list', list.span, list.text, { opens: this.#open(block) });
      else {
        const text = readable(this.#slice(span));
        const says = text.length > 25 && !pointsElsewhere.test(text);
        this.#add('sentence', span, text, { opens: says && this.#open(block) });
      }
      if (isLast) this.#lead = { ...span, text: readable(this.#slice(span)) };
    }
  }

  /** A sentence such as "It does so ..." says nothing alone: it takes the one before it along. */
  #withAntecedents(spans: readonly Span[]): Span[] {
    const whole: Span[] = [];
    for (const span of spans) {
      const before = whole.at(-1);
      const leans = before && leansBack.test(this.#slice(span)) && span.end - before.start <= longestItem;
      whole.push(leans ? { start: before.start, end: span.end } : span);
    }
    return whole;
  }

  /** True once a section: for what stands first, which tends to say or show what the section is about. */
  #open(block: Block): boolean {
    if (this.#opened || block.kind === 'quote') return false;
    this.#opened = true;
    return true;
  }

  /** A sentence that ends in a colon together with what it introduces: of a long list or table the first lines. */
  #listAfter(intro: Span, following: readonly Block[]): { span: Span; text: string } | undefined {
    const lines = this.#linesOf(following);
    const shown = lines.slice(0, mostListed).filter(({ end }) => end - intro.start <= longestList);
    const last = shown.at(-1);
    if (!last || (shown.length < lines.length && shown.length < fewestListed)) return undefined;
    const rest = shown.length < lines.length ? ['- …'] : [];
    const text = [readable(this.#slice(intro)), '', ...shown.map((line) => line.text), ...rest].join('\n');
    return { span: { start: intro.start, end: last.end }, text };
  }

  /** The items or rows that a list or table begins with. */
  #linesOf(following: readonly Block[]): { readonly end: number; readonly text: string }[] {
    const first = following[0];
    if (first?.kind === 'table') {
      return rowsOf(this.#slice(first), first.start).map(({ end, text }) => ({ end, text: `- ${text}` }));
    }
    const after = following.findIndex((block) => block.kind !== 'item');
    return following.slice(0, after === -1 ? following.length : after).map((item) => ({
      end: item.end,
      text: `${item.level > (first?.level ?? 0) ? '  ' : ''}- ${readable(this.#slice(item))}`,
    }));
  }

  #readItem(block: Block): void {
    while ((this.#parents.at(-1)?.level ?? -1) >= block.level) this.#parents.pop();
    const text = readable(this.#slice(block));
    const label = labelOf(text);
    const about = { label, lead: [this.#lead?.text ?? '', ...this.#parents.map((parent) => parent.text)].join(' ') };
    if (block.end - block.start <= longestItem) this.#add('item', block, text, about);
    else {
      for (const [index, span] of sentencesOf(this.#passage.text, block).entries()) {
        const sentence = readable(this.#slice(span));
        this.#add('item', span, index > 0 && label ? `${label}: ${sentence}` : sentence, about);
      }
    }
    this.#parents.push({ level: block.level, text: label || text.slice(0, 80) });
  }

  #readCode(block: Block): void {
    const source = this.#slice(block);
    if (source.split('\n').length > longestCodeLines) return;
    const indent = block.start - (this.#passage.text.lastIndexOf('\n', block.start - 1) + 1);
    const { title, code } = readableCode(source, indent);
    const intro = this.#lead?.text.endsWith(':') && this.#units.at(-1)?.end === this.#lead.end ? this.#lead : undefined;
    const lead = title || (this.#lead?.text ?? '');
    const opens = this.#open(block);
    if (intro) {
      const sentence = this.#units.pop();
      if (sentence && glosses.test(intro.text))
        this.#units.push({ ...sentence, text: sentence.text.replace(/:$/, '.') });
      this.#add('code', { start: intro.start, end: block.end }, `${intro.text}\n\n${code}`, { lead, opens });
    } else this.#add('code', block, title ? `${title}:\n\n${code}` : code, { lead, opens });
  }

  #readTable(block: Block): void {
    const names = cellsOf(this.#slice(block).split('\n')[0] ?? '').map(readable);
    const lead = `${this.#lead?.text ?? ''} ${names.join(' ')}`;
    for (const row of rowsOf(this.#slice(block), block.start))
      this.#add('row', row, row.text, { label: row.label, lead });
  }

  #add(kind: Unit['kind'], span: Span, text: string, about: Partial<Pick<Unit, 'opens' | 'lead' | 'label'>>): void {
    if (span.end - span.start > longestUnit || !/[\p{L}\p{N}]/u.test(text)) return;
    if (kind === 'sentence' && /^\W*(?:\w+\W+){1,3}$/.test(text) && /:\W*$/.test(text)) return; // a label, such as "**Example:**"
    this.#units.push({
      kind,
      passage: this.#passage,
      rank: this.#rank,
      start: span.start,
      end: span.end,
      quote: this.#slice(span),
      text,
      headings: this.#headings.map((heading) => heading.text),
      opens: about.opens ?? false,
      lead: about.lead ?? '',
      label: about.label ?? '',
    });
  }

  #slice(span: Span): string {
    return this.#passage.text.slice(span.start, span.end);
  }
}

/** What an item such as "`name` (type): ...", "**Name** - ..." or "name: ..." is about. */
function labelOf(text: string): string {
  const match =
    /^(?:\*\*|__)?(`[^`]+`|[\w.$-]{1,40})(?:\*\*|__)?(?= \(|:| [-–—] |\*\*|$)/.exec(text) ??
    /^\*\*([^*]{1,60})\*\*/.exec(text) ??
    /^(`[^`]+`)/.exec(text);
  return match?.[1] ?? '';
}

/** The rows below the head of a table that starts at `from`, each with the names of its columns. */
function rowsOf(table: string, from: number): (Span & { readonly label: string; readonly text: string })[] {
  const [head = '', rule = '', ...lines] = table.split('\n');
  const names = cellsOf(head).map(readable);
  let start = from + head.length + rule.length + 2;
  return lines.map((line) => {
    const [label = '', ...rest] = cellsOf(line).map(readable);
    const said = rest.flatMap((cell, index) =>
      cell ? (names[index + 1] ? `${names[index + 1]}: ${cell}` : cell) : [],
    );
    const row = { start, end: start + line.trimEnd().length, label };
    start += line.length + 1;
    return { ...row, text: [label || names[0], said.join('; ')].filter(Boolean).join(' – ') };
  });
}

function cellsOf(row: string): string[] {
  const inner = row.trim().replace(/^\|/, '').replace(/\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim());
}
