import { digestText } from '../../../kernel/index.js';

/** The names under which one namespace lies in Redis. */
export interface RedisKeys {
  /** The text with the versions of the namespace. */
  readonly versions: string;
  /** Where invalidations are published. In the slot of `versions` and of every tag. */
  readonly channel: string;
  /** The number of the last invalidation of a tag. */
  tag(tag: string): string;
  /** Those that belong to one key, all in one slot. */
  entry(key: string): string;
  generation(key: string): string;
  lease(key: string): string;
  /** The chunks of a stream of which others follow this run. */
  log(key: string, run: string): string;
  /** There while they do. */
  followed(key: string, run: string): string;
}

/** Of keys and tags that are longer there is a digest in the name. */
const longestName = 64;

const plainName = /^[\w-]{1,64}$/;

/**
 * Names in which only what is in braces decides about the slot
 * (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags): everything else is percent-encoded,
 * so that no name has braces or slashes of its own and no two meet.
 * @param prefix without braces
 */
export function redisKeys(prefix: string, namespace: string): RedisKeys {
  const space = escaped(namespace);
  const shared = `${prefix}:{${space}}:`;
  const single = `${prefix}:{${space}/`;
  return {
    versions: `${shared}v`,
    channel: `${shared}bus`,
    // An entry gives its tags back like this (`envelope.ts`).
    tag: (tag) => `${shared}t:${nameOf(tag.toWellFormed())}`,
    entry: (key) => `${single}${nameOf(key)}}:e`,
    generation: (key) => `${single}${nameOf(key)}}:g`,
    lease: (key) => `${single}${nameOf(key)}}:l`,
    log: (key, run) => `${single}${nameOf(key)}}:s:${nameOf(run)}`,
    followed: (key, run) => `${single}${nameOf(key)}}:f:${nameOf(run)}`,
  };
}

function nameOf(text: string): string {
  return plainName.test(text) ? text : escaped(text);
}

/** Never begins with `#` or is empty otherwise: what is encoded has neither `#` nor a lone `%`. */
function escaped(text: string): string {
  if (text === '') return '%';
  if (text.length <= longestName && text.isWellFormed()) {
    const encoded = encodeURIComponent(text);
    if (encoded.length <= longestName) return encoded;
  }
  return `#${digestText(text)}`;
}
