/** From this many characters on a native copy costs less than a loop (measured on Node 24). */
const longText = 48;

const firstBytes = 8_192;
/** What a writer holds on to between two keys. */
const keptBytes = 262_144;

/** Views of so few bytes are made once: to make one costs a third of what the hash of a short key does. */
const shortView = 256;

const beyondLatin1 = /[^\0-\xff]/;

/** What stands before each thing in its bytes: letters, so that they can be made out in a dump. */
export const tag = {
  undefined: 0x75,
  null: 0x7a,
  true: 0x74,
  false: 0x66,
  whole: 0x6e,
  double: 0x78,
  nan: 0x71,
  bigint: 0x69,
  latin1: 0x73,
  utf16: 0x77,
  array: 0x61,
  hole: 0x68,
  record: 0x6f,
  map: 0x6d,
  set: 0x65,
  date: 0x64,
  regExp: 0x72,
  url: 0x6c,
  bytes: 0x62,
} as const;

/**
 * Bytes that grow as they are written, and are used again for the next key. Whatever has no fixed length says how long it
 * is before it comes, so that two sequences of things never meet in the same bytes.
 */
export class KeyBytes {
  #bytes: Buffer = Buffer.allocUnsafeSlow(firstBytes);
  #length = 0;
  #views: Uint8Array[] = [];

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.length > keptBytes) this.#use(Buffer.allocUnsafeSlow(firstBytes));
  }

  /** The bytes so far; the next write changes them. */
  view(): Uint8Array {
    if (this.#length >= shortView) return this.#bytes.subarray(0, this.#length);
    const known = this.#views[this.#length];
    if (known) return known;
    const view = this.#bytes.subarray(0, this.#length);
    this.#views[this.#length] = view;
    return view;
  }

  /** The bytes as text of one character each. */
  toString(): string {
    return this.#bytes.toString('latin1', 0, this.#length);
  }

  /** Takes back what was written from there on, in the same form. */
  takeFrom(start: number): string {
    const text = this.#bytes.toString('latin1', start, this.#length);
    this.#length = start;
    return text;
  }

  /** What `takeFrom` has given. */
  putBack(text: string): void {
    this.#reserve(text.length);
    this.#length += this.#bytes.write(text, this.#length, 'latin1');
  }

  tag(kind: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = kind;
  }

  /** A whole number from 0 up, seven bits a byte, the lowest first (LEB128). */
  count(kind: number, count: number): void {
    this.#reserve(9);
    this.#bytes[this.#length++] = kind;
    let rest = count;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = 128 + (rest % 128);
    this.#bytes[this.#length++] = rest;
  }

  double(kind: number, value: number): void {
    this.#reserve(9);
    this.#bytes[this.#length++] = kind;
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  /**
   * One byte a character where all are Latin-1, else UTF-16, in any case by the characters and never by how the engine
   * holds them. UTF-8 would cost more than the longer hash of UTF-16 does, and makes one of all lone surrogates.
   */
  text(text: string): void {
    const { length } = text;
    if (length >= longText) {
      if (beyondLatin1.test(text)) this.#utf16(text);
      else this.#latin1(text);
      return;
    }
    this.#reserve(longText + 2);
    const bytes = this.#bytes;
    let at = this.#length;
    bytes[at++] = tag.latin1;
    bytes[at++] = length;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0xff) {
        this.#utf16(text);
        return;
      }
      bytes[at++] = code;
    }
    this.#length = at;
  }

  #latin1(text: string): void {
    this.count(tag.latin1, text.length);
    this.putBack(text);
  }

  #utf16(text: string): void {
    this.count(tag.utf16, text.length);
    this.#reserve(2 * text.length);
    this.#length += this.#bytes.write(text, this.#length, 'utf16le');
  }

  /** Bytes as they are: how many they are has to be written before. */
  bytes(data: Uint8Array): void {
    this.#reserve(data.length);
    this.#bytes.set(data, this.#length);
    this.#length += data.length;
  }

  #reserve(more: number): void {
    if (this.#length + more > this.#bytes.length) this.#grow(more);
  }

  #grow(more: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + more));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#use(larger);
  }

  #use(bytes: Buffer): void {
    this.#bytes = bytes;
    this.#views = [];
  }
}
