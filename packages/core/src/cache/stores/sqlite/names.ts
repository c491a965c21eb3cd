/** A name as SQLite keeps it: text is UTF-8, in which lone surrogates cannot be told apart, so such names are bytes. */
export type Name = string | Uint8Array;

export function nameOf(text: string): Name {
  return text.isWellFormed() ? text : Buffer.from(text, 'utf16le');
}

export function textOfName(name: Name): string {
  return typeof name === 'string' ? name : Buffer.from(name).toString('utf16le');
}

export function nameBytes(name: Name): number {
  return typeof name === 'string' ? Buffer.byteLength(name) : name.length;
}

/**
 * A tag comes back from an entry with U+FFFD in the place of lone surrogates, and from a feed it is wanted as it was said:
 * such a tag is marked under both names.
 */
export function namesOfTag(tag: string): readonly Name[] {
  return tag.isWellFormed() ? [tag] : [tag.toWellFormed(), nameOf(tag)];
}
