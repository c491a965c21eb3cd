/** How one line of Markdown begins a block; enough of CommonMark to cut a document without breaking what belongs together. */

export interface Fence {
  readonly mark: string;
  readonly quoted: boolean;
}

export interface Heading {
  readonly level: number;
  readonly text: string;
}

const fenceLine = /^[ \t]*((?:>[ \t]?)*)[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}(?=[^`]*$)|~{3,})/;
const listLine = /^[ \t]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]+\S|[ \t]*$)/;
const headingLine = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const underline = /^ {0,3}(?:(=+)|-+)[ \t]*$/;
const definitionLine = /^ {0,3}\[[^\]]+\]:[ \t]*\S+/;
const delimiterRow = /^[ \t>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

export function opensFence(line: string): Fence | undefined {
  const match = fenceLine.exec(line);
  return match?.[2] ? { mark: match[2], quoted: match[1] !== '' } : undefined;
}

export function closesFence(line: string, fence: Fence): boolean {
  const content = fence.quoted ? line.replace(/^[ \t]*(?:>[ \t]?)+/, '') : line;
  const marks = content.trim();
  return marks.length >= fence.mark.length && marks === (fence.mark[0] ?? '').repeat(marks.length);
}

/** A fence inside a block quote ends with the quote, closed or not. */
export function leavesQuote(line: string, fence: Fence): boolean {
  return fence.quoted && !/^[ \t]*>/.test(line);
}

export function headingOf(line: string): Heading | undefined {
  const match = headingLine.exec(line);
  return match?.[1] ? { level: match[1].length, text: plainText(match[2] ?? '') } : undefined;
}

/** The level that a line of = or - below a paragraph makes it a heading of. */
export function underlineLevel(line: string): number | undefined {
  const match = underline.exec(line);
  if (!match) return undefined;
  return match[1] ? 1 : 2;
}

export function startsListItem(line: string): boolean {
  return listLine.test(line);
}

export function isLinkDefinition(line: string): boolean {
  return definitionLine.test(line);
}

export function isDelimiterRow(line: string): boolean {
  return line.includes('|') && line.includes('-') && delimiterRow.test(line);
}

/** No line that people write is longer; marks that never close would take quadratic time in one. */
const longestLine = 10_000;

/** What a reader sees of one line: code without its marks, links as their words, no emphasis, no tags. */
export function plainText(markdown: string): string {
  if (markdown.length > longestLine) return markdown.trim();
  return markdown
    .split(/(`+[^`]+`+)/)
    .map((part) => (part.startsWith('`') && part.length > 1 ? part.replace(/^`+ ?| ?`+$/g, '') : withoutMarks(part)))
    .join('')
    .trim();
}

function withoutMarks(text: string): string {
  return text
    .replace(/!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])/g, '$1')
    .replace(/<\/?[a-z][^>]*>/gi, '')
    .replace(/(?<!\\)(\*{1,3}|~~)(?=\S)(.+?)(?<=[^\s\\])\1/g, '$2')
    .replace(/\\([!-/:-@[-`{-~])/g, '$1');
}

/** The anchors of one page by GitHub's rule: a name that is taken gets -1, -2, ... */
export function createSlugger(): (heading: string) => string {
  const used = new Map<string, number>();
  return (heading) => {
    const slug = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '')
      .replace(/ /g, '-');
    let name = slug;
    for (let count = used.get(slug) ?? 0; used.has(name); ) {
      count++;
      used.set(slug, count);
      name = `${slug}-${count}`;
    }
    used.set(name, 0);
    return name;
  };
}

/**
 * The lines without front matter and without HTML comments, each still at its own index, so that line numbers hold.
 * Comments inside fences and code spans are text. A comment that is never closed stays, so that nothing is lost by it.
 */
export function visibleLines(text: string): string[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\r|\n/);
  const first = frontMatterEnd(lines);
  lines.fill('', 0, first);
  const lastClose = lines.findLastIndex((line) => line.includes('-->'));
  let fence: Fence | undefined;
  for (let index = first; index < lines.length; index++) {
    const line = lines[index] ?? '';
    if (fence) {
      if (!closesFence(line, fence) && !leavesQuote(line, fence)) continue;
      const left = leavesQuote(line, fence);
      fence = undefined;
      if (!left) continue;
    }
    fence = opensFence(line);
    if (!fence && index <= lastClose && line.includes('<!--')) {
      dropComments(lines, index, lastClose);
      fence = opensFence(lines[index] ?? '');
    }
  }
  return lines;
}

/** The number of lines that a block of front matter takes at the top; 0 without one. */
function frontMatterEnd(lines: readonly string[]): number {
  if (lines[0]?.trimEnd() !== '---') return 0;
  const end = lines.findIndex((line, index) => index > 0 && /^(?:---|\.\.\.)[ \t]*$/.test(line));
  const isYaml = lines.slice(1, Math.max(end, 1)).every((line) => /^(?:\s|#|- |[\w"'.-]+[ \t]*:|[\]})]|$)/.test(line));
  return end > 0 && isYaml ? end + 1 : 0;
}

/** Removes the comments that begin on this line, with the rest of theirs on later lines. */
function dropComments(lines: string[], index: number, lastClose: number): void {
  const line = lines[index] ?? '';
  let kept = '';
  let at = 0;
  for (let start = commentStart(line, at); start >= 0; start = commentStart(line, at)) {
    const close = line.indexOf('-->', start + 4);
    if (close < 0) {
      let last = index + 1;
      while (last <= lastClose && !lines[last]?.includes('-->')) last++;
      if (last > lastClose) break; // never closed: the rest is text
      lines[index] = (kept + line.slice(at, start)).trimEnd();
      lines.fill('', index + 1, last);
      // What follows the comment is looked at when the caller comes to that line.
      lines[last] = (lines[last] ?? '').slice((lines[last] ?? '').indexOf('-->') + 3);
      return;
    }
    kept += line.slice(at, start);
    at = close + 3;
  }
  lines[index] = kept + line.slice(at);
}

function commentStart(line: string, from: number): number {
  for (let at = from; at < line.length; at++) {
    if (line.startsWith('<!--', at)) return at;
    if (line[at] !== '`') continue;
    const run = /^`+/.exec(line.slice(at))?.[0] ?? '`';
    const end = line.indexOf(run, at + run.length);
    at = end < 0 ? at + run.length - 1 : end + run.length - 1;
  }
  return -1;
}
