// A small, safe Markdown view: text becomes elements and text nodes, never HTML. It knows where in the source each
// character came from, so that a part of the source can be marked in what the reader sees.

const marker = /^([ \t]*)([-*+]|\d{1,9}[.)])([ \t]+|$)/;
const fence = /^[ \t]*(`{3,}|~{3,})(.*)$/;
const heading = /^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$/;
const rule = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const delimiterRow = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const definition = /^ {0,3}\[[^\]]+\]:[ \t]*\S/;
/** The first line of a block quote that GitHub shows as a note. */
const alert = /^\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\][ \t]*$/i;
const deepest = 12;

/**
 * Fills `parent` with `source`.
 * @param cite makes the element of a marker such as [1]; without one, markers stay text
 * @param marked a part of the source, [start, end), to be shown as marked
 */
export function renderMarkdown(parent, source, { cite = () => undefined, marked } = {}) {
  let start = 0;
  const lines = source.split('\n').map((text) => {
    const line = { text: text.replace(/\r$/, ''), start };
    start += text.length + 1;
    return line;
  });
  const nodes = document.createDocumentFragment();
  blocks(nodes, lines, { cite, marked, depth: 0 });
  parent.replaceChildren(nodes);
}

/** A line is a slice of the source: what is cut from its left moves its start. */
function cut(line, count) {
  return { text: line.text.slice(count), start: line.start + count };
}

function indentOf(line) {
  return /^[ \t]*/.exec(line.text)[0].length;
}

function isBlank(line) {
  return line.text.trim() === '';
}

function blocks(parent, lines, view) {
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    if (isBlank(line)) at++;
    else if (fence.test(line.text)) at = fencedCode(parent, lines, at, view);
    else if (heading.test(line.text)) at = headingLine(parent, lines, at, view);
    else if (rule.test(line.text)) {
      parent.append(document.createElement('hr'));
      at++;
    } else if (/^[ \t]*>/.test(line.text)) at = quote(parent, lines, at, view);
    else if (marker.test(line.text) && view.depth < deepest) at = list(parent, lines, at, view);
    else if (line.text.includes('|') && delimiterRow.test(lines[at + 1]?.text ?? ''))
      at = table(parent, lines, at, view);
    else if (definition.test(line.text)) at++;
    else at = paragraph(parent, lines, at, view);
  }
}

function fencedCode(parent, lines, from, view) {
  const [, mark] = fence.exec(lines[from].text);
  const indent = indentOf(lines[from]);
  const pre = document.createElement('pre');
  const code = document.createElement('code');
  pre.tabIndex = 0; // it may scroll, and then it has to be reached with keys
  let at = from + 1;
  for (; at < lines.length; at++) {
    const text = lines[at].text.trim();
    if (text.length >= mark.length && text === mark[0].repeat(text.length)) break;
    const line = cut(lines[at], Math.min(indent, indentOf(lines[at])));
    if (at > from + 1) code.append('\n');
    emit(code, line.text, offsets(line), view);
  }
  pre.append(code);
  parent.append(pre);
  return at + 1;
}

function headingLine(parent, lines, at, view) {
  const line = lines[at];
  const [, marks, text] = heading.exec(line.text);
  const element = document.createElement('p');
  element.className = 'heading';
  const start = line.text.indexOf(text, line.text.indexOf(marks) + marks.length);
  inlineLines(element, [{ text, start: line.start + start }], view);
  parent.append(element);
  return at + 1;
}

function quote(parent, lines, from, view) {
  const inner = [];
  let at = from;
  for (; at < lines.length && !isBlank(lines[at]); at++) {
    const prefix = /^[ \t]*>[ \t]?/.exec(lines[at].text);
    inner.push(prefix ? cut(lines[at], prefix[0].length) : lines[at]);
  }
  const element = document.createElement('blockquote');
  const kind = alert.exec(inner[0].text)?.[1];
  if (kind) {
    const title = document.createElement('p');
    title.className = 'heading';
    title.textContent = kind[0].toUpperCase() + kind.slice(1).toLowerCase();
    element.append(title);
    inner.shift();
  }
  if (view.depth < deepest) blocks(element, inner, { ...view, depth: view.depth + 1 });
  else inlineLines(element, inner, view);
  parent.append(element);
  return at;
}

function list(parent, lines, from, view) {
  const [, space, first] = marker.exec(lines[from].text);
  const indent = space.length;
  const ordered = /\d/.test(first);
  const element = document.createElement(ordered ? 'ol' : 'ul');
  if (ordered && Number.parseInt(first, 10) !== 1) element.start = Number.parseInt(first, 10);
  let at = from;
  while (at < lines.length) {
    const match = marker.exec(lines[at].text);
    if (!match || match[1].length !== indent || /\d/.test(match[2]) !== ordered) break;
    const inner = [cut(lines[at], match[0].length)];
    let blank = false;
    for (at++; at < lines.length; at++) {
      const line = lines[at];
      if (isBlank(line)) blank = true;
      else if (indentOf(line) > indent) blank = false;
      else if (blank || marker.test(line.text) || fence.test(line.text) || heading.test(line.text)) break;
      inner.push(cut(line, Math.min(match[0].length, indentOf(line))));
    }
    const item = document.createElement('li');
    listItem(item, inner, { ...view, depth: view.depth + 1 });
    element.append(item);
  }
  parent.append(element);
  return at;
}

/** The first lines of an item stand in it without a paragraph of their own. */
function listItem(item, lines, view) {
  const end = lines.findIndex(
    (line, at) => at > 0 && (isBlank(line) || marker.test(line.text) || fence.test(line.text)),
  );
  const first = end < 0 ? lines.length : end;
  if (fence.test(lines[0].text) || marker.test(lines[0].text)) return blocks(item, lines, view);
  inlineLines(item, lines.slice(0, first), view);
  blocks(item, lines.slice(first), view);
}

function table(parent, lines, from, view) {
  const wrapper = document.createElement('div');
  wrapper.className = 'wide';
  wrapper.tabIndex = 0;
  const element = document.createElement('table');
  let at = from;
  for (; at < lines.length && !isBlank(lines[at]) && lines[at].text.includes('|'); at++) {
    if (at === from + 1) continue;
    const row = element.insertRow();
    for (const cell of cellsOf(lines[at])) {
      const box = document.createElement(at === from ? 'th' : 'td');
      inlineLines(box, [cell], view);
      row.append(box);
    }
  }
  wrapper.append(element);
  parent.append(wrapper);
  return at;
}

function cellsOf(line) {
  const cells = [];
  let from = /^[ \t]*\|?/.exec(line.text)[0].length;
  for (let at = from; at <= line.text.length; at++) {
    const last = at === line.text.length;
    if (!last && (line.text[at] !== '|' || line.text[at - 1] === '\\')) continue;
    const cell = line.text.slice(from, at);
    if (!last || cell.trim()) {
      const lead = /^\s*/.exec(cell)[0].length;
      cells.push({ text: cell.trim(), start: line.start + from + lead });
    }
    from = at + 1;
  }
  return cells;
}

function paragraph(parent, lines, from, view) {
  let at = from + 1;
  while (at < lines.length) {
    const { text } = lines[at];
    if (isBlank(lines[at]) || fence.test(text) || heading.test(text) || marker.test(text) || /^[ \t]*>/.test(text))
      break;
    at++;
  }
  const element = document.createElement('p');
  inlineLines(
    element,
    lines.slice(from, at).map((line) => cut(line, indentOf(line))),
    view,
  );
  if (element.children.length > 0 && [...element.childNodes].every(isCiteOrSpace)) element.className = 'only-cites';
  parent.append(element);
  return at;
}

function isCiteOrSpace(node) {
  return node.className === 'cite' || (node.nodeType === Node.TEXT_NODE && node.data.trim() === '');
}

function offsets({ text, start }) {
  return Array.from({ length: text.length }, (_, at) => start + at);
}

function inlineLines(parent, lines, view) {
  const text = lines.map((line) => line.text).join('\n');
  const places = lines.flatMap((line, at) => {
    const own = offsets(line);
    return at === lines.length - 1 ? own : [...own, line.start + line.text.length];
  });
  inline(parent, text, places, view);
}

function inline(parent, text, places, view) {
  let plain = 0;
  let at = 0;
  const flush = (end, next) => {
    emit(parent, text.slice(plain, end), places.slice(plain, end), view);
    plain = next;
    at = next;
  };
  while (at < text.length) {
    const found = construct(text, at, view);
    if (!found) {
      at++;
      continue;
    }
    const start = at;
    flush(start, found.end);
    if (!found.element) {
      emit(parent, text.slice(found.from, found.to), places.slice(found.from, found.to), view);
      continue;
    }
    if (found.raw) emit(found.element, text.slice(found.from, found.to), places.slice(found.from, found.to), view);
    else if (found.to > found.from) {
      inline(found.element, text.slice(found.from, found.to), places.slice(found.from, found.to), view);
    }
    parent.append(found.element);
  }
  flush(text.length, text.length);
}

/** What begins at this place: its element (or none, for bare text), the inside [from, to), and where it ends. */
function construct(text, at, view) {
  const rest = text.slice(at);
  switch (text[at]) {
    case '\\':
      return /^\\[!-/:-@[-`{-~]/.test(rest) ? { from: at + 1, to: at + 2, end: at + 2 } : undefined;
    case '`':
      return codeSpan(text, at, rest);
    case '!':
    case '[':
      return bracket(text, at, rest, view);
    case '*':
    case '_':
      return emphasis(text, at, rest);
    case '<': {
      const url = /^<(https?:\/\/[^\s<>]+)>/.exec(rest);
      if (!url) return undefined;
      return { element: link(url[1]), raw: true, from: at + 1, to: at + 1 + url[1].length, end: at + url[0].length };
    }
    case 'h': {
      const url = /\w/.test(text[at - 1] ?? '') ? '' : bareAddress(rest);
      return url ? { element: link(url), raw: true, from: at, to: at + url.length, end: at + url.length } : undefined;
    }
    default:
      return undefined;
  }
}

/** An address in running text: the stop after it is not a part of it, a bracket only if it closes one in the address. */
function bareAddress(rest) {
  let url = /^https?:\/\/[^\s<>"'`]+/.exec(rest)?.[0] ?? '';
  const count = (bracket) => url.split(bracket).length - 1;
  while (/[.,;:!?\]}*]$/.test(url) || (url.endsWith(')') && count(')') > count('('))) url = url.slice(0, -1);
  return /^https?:\/\/./.test(url) ? url : '';
}

function codeSpan(text, at, rest) {
  const run = /^`+/.exec(rest)[0];
  for (let close = text.indexOf(run, at + run.length); close >= 0; close = text.indexOf(run, close + 1)) {
    if (text[close + run.length] === '`' || text[close - 1] === '`') continue;
    const padded = text[at + run.length] === ' ' && text[close - 1] === ' ' && close - at - run.length > 2 ? 1 : 0;
    const from = at + run.length + padded;
    return { element: document.createElement('code'), raw: true, from, to: close - padded, end: close + run.length };
  }
  return { from: at, to: at + run.length, end: at + run.length };
}

function bracket(text, at, rest, view) {
  const number = /^\[(\d{1,2})\](?![([:])/.exec(rest);
  if (number) {
    const element = view.cite(Number(number[1]));
    return element ? { element, from: at, to: at, end: at + number[0].length } : undefined;
  }
  const open = rest.startsWith('![') ? at + 1 : at;
  if (text[open] !== '[') return undefined;
  const close = closing(text, open);
  if (close < 0) return undefined;
  const target = /^\(\s*<?([^\s()<>]*(?:\([^\s()]*\)[^\s()<>]*)*)>?(?:\s+["'(][^"')]*["')])?\s*\)|^\[[^\]]*\]/.exec(
    text.slice(close + 1),
  );
  if (!target) return undefined;
  const inside = { from: open + 1, to: close, end: close + 1 + target[0].length };
  const safe = open === at && /^https?:\/\//i.test(target[1] ?? '');
  return { element: safe ? link(target[1]) : document.createElement('span'), ...inside };
}

/** The bracket that closes the one at `open`; code spans inside are skipped. */
function closing(text, open) {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '`') {
      const run = /^`+/.exec(text.slice(at))[0];
      const end = text.indexOf(run, at + run.length);
      at = (end < 0 ? at : end) + run.length - 1;
    } else if (text[at] === '[') depth++;
    else if (text[at] === ']' && --depth === 0) return at;
  }
  return -1;
}

function emphasis(text, at, rest) {
  const run = /^(\*{1,2}|_{1,2})/.exec(rest)[0];
  if (/^\s|^$/.test(rest.slice(run.length)) || (run[0] === '_' && /\w/.test(text[at - 1] ?? ''))) return undefined;
  for (let close = text.indexOf(run, at + run.length + 1); close >= 0; close = text.indexOf(run, close + 1)) {
    const inWord = run[0] === '_' && /\w/.test(text[close + run.length] ?? '');
    if (/\s/.test(text[close - 1]) || inWord || (run.length === 1 && text[close + 1] === run)) continue;
    const element = document.createElement(run.length === 2 ? 'strong' : 'em');
    return { element, from: at + run.length, to: close, end: close + run.length };
  }
  return undefined;
}

function link(url) {
  const element = document.createElement('a');
  element.href = url;
  element.target = '_blank';
  element.rel = 'noopener noreferrer';
  return element;
}

/** Appends text, in <mark> where its source is marked. */
function emit(parent, text, places, { marked }) {
  const isMarked = (at) => marked !== undefined && places[at] >= marked[0] && places[at] < marked[1];
  for (let from = 0; from < text.length; ) {
    const inside = isMarked(from);
    let to = from + 1;
    while (to < text.length && isMarked(to) === inside) to++;
    const piece = text.slice(from, to);
    if (inside) {
      const mark = document.createElement('mark');
      mark.textContent = piece;
      parent.append(mark);
    } else parent.append(piece);
    from = to;
  }
}
