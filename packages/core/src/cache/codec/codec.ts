import { type ByteSize, byteSizeOf, type Rules, rule } from '../../kernel/index.js';
import { compress, decompress } from './compression.js';
import { Encryption, type EncryptionOptions, encryptionRule } from './encryption.js';
import { deserializeValue, serializeValue } from './serialization.js';

export interface CodecOptions {
  /**
   * Compresses what the store gets (zstd) from this size on, where that makes it smaller; `true` is 1 kB. Beside encryption
   * think twice where a secret and text of a stranger are in one value: the size tells whether they are alike (CRIME,
   * BREACH). Default: never.
   */
  readonly compression?: boolean | ByteSize;
  /**
   * Encrypts what the store gets (AES-256-GCM). What the store has under another key, unencrypted or altered is a miss.
   * Times, tags and the size of an entry stay readable, and an older entry of the same key can be put back. Default: none.
   */
  readonly encryption?: EncryptionOptions;
}

export const codecRules: Rules<CodecOptions> = {
  compression: rule.either(rule.boolean, rule.byteSize),
  encryption: encryptionRule,
};

/**
 * Why bytes are no value: `'foreign'`, not from here; `'version'`, of a form that this version or its Node.js does not know;
 * `'corrupt'`, damaged or altered; `'key'`, no key for it, or encrypted differently from what the options ask for.
 */
export type Rejection = 'foreign' | 'version' | 'corrupt' | 'key';

export type Decoded = { readonly value: unknown } | { readonly rejected: Rejection };

/** Values to bytes and back, for stores. */
export interface Codec {
  /**
   * @param key what the value is bound to when it is encrypted: all that it is found by, the name of the cache included
   * @returns undefined for what cannot be written, such as functions
   */
  encode(value: unknown, key: string): Uint8Array | undefined;
  /** Never throws. The value shares no memory with the bytes. */
  decode(bytes: Uint8Array, key: string): Decoded;
}

/** No text begins with these bytes, since they are not UTF-8, and no bytes of V8's serialiser. */
const magic = [0xf7, 0x57] as const;
const version = 1;
const headerBytes = 4;
const compressed = 1;
const encrypted = 2;

const defaultThreshold = 1_000;

/**
 * Bytes of version 1: the magic, the version, one byte of flags; when encrypted, the envelope of `Encryption`, and inside
 * of it, when compressed, that of `compress`, and inside of that the value.
 *
 * There is no checksum, since envelope and database have theirs. Noise is rejected or read as another value, and does no
 * harm. Bytes that somebody made up can fill the memory (the format of V8 lets 100 kB claim gigabytes): where others may
 * write to the store, use encryption, which parses nothing that it has not authenticated.
 * @throws WarmpathError `WP_BAD_OPTION`, without the keys
 */
export function createCodec(
  options: { readonly [Name in keyof CodecOptions]?: CodecOptions[Name] | undefined },
  where = 'createCache()',
): Codec {
  const { compression = false, encryption } = options;
  return new ValueCodec(
    thresholdOf(compression),
    encryption === undefined ? undefined : new Encryption(encryption, where),
  );
}

function thresholdOf(compression: boolean | ByteSize): number {
  if (typeof compression === 'boolean') return compression ? defaultThreshold : Number.POSITIVE_INFINITY;
  return byteSizeOf(compression);
}

class ValueCodec implements Codec {
  readonly #threshold: number;
  readonly #encryption: Encryption | undefined;

  constructor(threshold: number, encryption: Encryption | undefined) {
    this.#threshold = threshold;
    this.#encryption = encryption;
  }

  encode(value: unknown, key: string): Uint8Array | undefined {
    const plain = serializeValue(value, headerOf(0));
    if (!plain) return undefined;
    const body = plain.subarray(headerBytes);
    const packed = body.length >= this.#threshold ? compress(body) : undefined;
    if (this.#encryption) {
      return this.#encryption.seal(headerOf(packed ? encrypted | compressed : encrypted), packed ?? body, key);
    }
    return packed ? Buffer.concat([headerOf(compressed), packed]) : plain;
  }

  decode(bytes: Uint8Array, key: string): Decoded {
    const entry = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const [first, second, form, flags] = entry;
    if (first !== magic[0] || second !== magic[1]) return { rejected: 'foreign' };
    if (form !== version || flags === undefined || flags > (compressed | encrypted)) return { rejected: 'version' };
    if (((flags & encrypted) !== 0) !== (this.#encryption !== undefined)) return { rejected: 'key' };
    const body = this.#encryption ? this.#encryption.open(entry, headerBytes, key) : entry.subarray(headerBytes);
    if (typeof body === 'string') return { rejected: body };
    const plain = (flags & compressed) !== 0 ? decompress(body) : body;
    return plain ? deserializeValue(plain) : { rejected: 'corrupt' };
  }
}

function headerOf(flags: number): Buffer {
  return Buffer.from([...magic, version, flags]);
}
