import { digestText } from '../../../kernel/index.js';

/** Of names that are longer there is a digest. */
const longestName = 64;

const plainName = /^[\w-]{1,64}$/;

/**
 * The names under which the accounts of one limiter lie in Redis, all of one key in one slot. Only what is in braces decides
 * about the slot (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags); everything else is
 * percent-encoded, so that no name has braces or slashes of its own and no two meet, nor any of the cache's.
 * @param prefix without braces
 * @param shape one digest for dimensions that count in the same way
 * @returns of an account; of its places, where it has such dimensions
 */
export function accountKeys(
  prefix: string,
  limiter: string,
  key: string,
  shape: { readonly digest: string; readonly hasPlaces: boolean },
): readonly string[] {
  const name = `${prefix}:{${nameOf(limiter)}/${nameOf(key)}}:`;
  const account = `${name}a:${shape.digest}`;
  return shape.hasPlaces ? [account, `${name}p:${shape.digest}`] : [account];
}

export function peersKey(prefix: string): string {
  return `${prefix}:{%}:peers`;
}

function nameOf(text: string): string {
  return plainName.test(text) ? text : escaped(text);
}

/** Never `%` alone, and never begins with `#` otherwise. */
function escaped(text: string): string {
  if (text === '') return '%';
  if (text.length <= longestName && text.isWellFormed()) {
    const encoded = encodeURIComponent(text);
    if (encoded.length <= longestName) return encoded;
  }
  return `#${digestText(text)}`;
}
