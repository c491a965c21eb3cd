/** A number, String, Token, Boolean or Byte Sequence of Structured Fields; a Date counts as its number. */
export type BareItem =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'string' | 'token' | 'bytes'; readonly value: string }
  | { readonly kind: 'boolean'; readonly value: boolean };

export interface Item {
  readonly item: BareItem;
  readonly parameters: ReadonlyMap<string, BareItem>;
}

const string = /"((?:[ !#-[\]-~]|\\["\\])*)"/y;
const displayString = /%"((?:[ !#$&-~]|%[0-9a-f]{2})*)"/y;
const number = /@?(-?(?:\d{1,12}\.\d{1,3}|\d{1,15}))/y;
const bytes = /:([A-Za-z0-9+/]*=*):/y;
const boolean = /\?([01])/y;
const token = /([A-Za-z*][!#$%&'*+\-.^_`|~\w:/]*)/y;
const key = /([a-z*][a-z0-9_\-.*]*)/y;
const spaces = / */y;
const blanks = /[ \t]*/y;

const yes: BareItem = { kind: 'boolean', value: true };

/**
 * A List of Items (RFC 9651 section 4.2.1), or undefined for anything else, inner lists among it: the fields read here have
 * none, and a field that does not parse counts as absent as a whole.
 */
export function parseList(text: string): Item[] | undefined {
  const items: Item[] = [];
  return members(text, (scan) => {
    const item = scanItem(scan);
    if (item) items.push(item);
    return item !== undefined;
  })
    ? items
    : undefined;
}

/** A Dictionary of Items (RFC 9651 section 4.2.2), under the same rules. */
export function parseDictionary(text: string): Map<string, Item> | undefined {
  const items = new Map<string, Item>();
  return members(text, (scan) => {
    const name = scan.match(key);
    if (name === undefined) return false;
    const item = scan.skip('=') ? scanItem(scan) : withParameters(scan, yes);
    if (item) items.set(name, item);
    return item !== undefined;
  })
    ? items
    : undefined;
}

/** Whether all of the text is members with commas between them. */
function members(text: string, scanMember: (scan: Scan) => boolean): boolean {
  const scan = new Scan(text.trim());
  if (scan.isAtEnd) return true;
  for (;;) {
    if (!scanMember(scan)) return false;
    scan.match(blanks);
    if (scan.isAtEnd) return true;
    if (!scan.skip(',')) return false;
    scan.match(blanks);
  }
}

function scanItem(scan: Scan): Item | undefined {
  const item = scanBareItem(scan);
  return item && withParameters(scan, item);
}

function withParameters(scan: Scan, item: BareItem): Item | undefined {
  const parameters = new Map<string, BareItem>();
  while (scan.skip(';')) {
    scan.match(spaces);
    const name = scan.match(key);
    if (name === undefined) return undefined;
    const value = scan.skip('=') ? scanBareItem(scan) : yes;
    if (!value) return undefined;
    parameters.set(name, value);
  }
  return { item, parameters };
}

function scanBareItem(scan: Scan): BareItem | undefined {
  const quoted = scan.match(string);
  if (quoted !== undefined) return { kind: 'string', value: quoted.replace(/\\(.)/g, '$1') };
  const digits = scan.match(number);
  if (digits !== undefined) return { kind: 'number', value: Number(digits) };
  const base64 = scan.match(bytes);
  if (base64 !== undefined) return { kind: 'bytes', value: base64 };
  const bit = scan.match(boolean);
  if (bit !== undefined) return { kind: 'boolean', value: bit === '1' };
  const name = scan.match(token);
  if (name !== undefined) return { kind: 'token', value: name };
  const shown = scan.match(displayString);
  return shown === undefined ? undefined : { kind: 'string', value: shown };
}

/** A place in a text. */
class Scan {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** @returns the group of a sticky pattern that matches here, having passed over it */
  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (!found) return undefined;
    this.#at += found[0].length;
    return found[1] ?? found[0];
  }
}
