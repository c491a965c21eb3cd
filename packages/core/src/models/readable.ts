import { endOfCode } from './sentences.js';

/**
 * Markdown for reading on: inline code, emphasis and list marks stay, while links keep only their text and images,
 * comments, tags and quote marks go. A bracketed number becomes round, since `[n]` marks a citation in an answer.
 */
export function readable(markdown: string): string {
  const { text, codes } = withoutCode(markdown.replace(/^\s*>[ \t]?/gm, ''));
  const plain = text
    .replace(/<!--[\s\S]*?-->/g, ' ')
    .replace(/!\[[^\]]*\](?:\([^()]*\)|\[[^\]]*\])/g, '')
    .replace(/\[([^[\]]*)\]\([^()]*(?:\([^()]*\)[^()]*)?\)/g, '$1')
    .replace(/\[([^[\]]*)\]\[[^\]]*\]/g, '$1')
    .replace(/^\s*\[[ xX]\]\s/, '')
    .replace(/^\s*\[!\w+\]\s/, '')
    .replace(/\[(\d+)\]/g, '($1)')
    .replace(/\[([^[\]]+)\]/g, '$1')
    .replace(/<br\s*\/?>/gi, ' ')
    .replace(/<(https?:[^<>\s]*)>/g, '$1')
    .replace(/<\/?[a-z][^<>]*>/gi, '')
    .replace(/(^|[\s(])\{([A-Z][\w.]*)\}/g, '$1`$2`')
    .replace(/\s+/g, ' ')
    .trim();
  const restored = plain.replace(/\uE000(\d+)\uE000/g, (_, index) => codes[Number(index)] ?? '');
  return restored.replace(typedName, (_, name, type, rest) => `${name} (${type.replaceAll('|', ' or ')}): ${rest}`);
}

/** The way Node's own and many other references write a parameter: `name` {type} what it is. */
const typedName = /^(`[^`]+`) \{([^{}]+)\} (?:\(optional\) ?)?(\S)/;

/**
 * A fenced block as it should stand alone: without the indentation of its surroundings, and always closed. Its title is
 * that of an info string such as `js title="Reply with an error"`, empty where there is none.
 */
export function readableCode(block: string, indent: number): { title: string; code: string } {
  const [first = '', ...rest] = block
    .split(/\r?\n/)
    .map((line) => line.slice(Math.min(indent, line.length - line.trimStart().length)));
  const [opening = first, fence = '```', language = ''] = /^(`{3,}|~{3,})[ \t]*([^\s{]*)/.exec(first) ?? [];
  const title = /\b(?:title|displayName)="([^"]+)"/.exec(first.slice(opening.length))?.[1] ?? '';
  const closed = rest.at(-1)?.trim().startsWith(fence);
  return { title, code: [`${fence}${language}`, ...rest, ...(closed ? [] : [fence])].join('\n') };
}

function withoutCode(markdown: string): { text: string; codes: string[] } {
  const codes: string[] = [];
  let text = '';
  let from = 0;
  for (let at = markdown.indexOf('`'); at !== -1; at = markdown.indexOf('`', from)) {
    const end = endOfCode(markdown, at);
    text += `${markdown.slice(from, at)}\uE000${codes.length}\uE000`;
    codes.push(markdown.slice(at, end).replace(/\s+/g, ' '));
    from = end;
  }
  return { text: text + markdown.slice(from), codes };
}
