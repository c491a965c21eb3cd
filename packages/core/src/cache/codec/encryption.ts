import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { badOption, checkOptions, type Rule, type Rules, rule } from '../../kernel/index.js';

export interface EncryptionOptions {
  /** The id of the key that new entries are encrypted with. */
  readonly current: string;
  /**
   * The keys by their ids, each 32 bytes, or their hex, base64 or base64url text (`openssl rand -hex 32`). To change keys
   * add a new one everywhere, then make it current, and remove the old one once its entries have ended. An id is stored
   * in the clear. Every entry has a random IV, so that one key is good for 2^32 entries (NIST SP 800-38D, 8.3): change it
   * before, or at 1,000 entries a second within seven weeks.
   */
  readonly keys: Readonly<Record<string, Uint8Array | string>>;
}

const algorithm = 'aes-256-gcm';
const keyBytes = 32;
const ivBytes = 12;
const tagBytes = 16;
const longestId = 255;

/** What `Encryption` checks in more detail, so that the message says which part is wrong. */
export const encryptionRule: Rule = {
  text: '{ current, keys }: the id of a key, and the keys by their ids',
  allows: rule.object.allows,
  secret: true,
};

const parts: Rules<EncryptionOptions> = {
  current: rule.required({ ...rule.text, secret: true }),
  keys: rule.required({ text: 'an object with a key for each id', allows: rule.object.allows, secret: true }),
};

/**
 * AES-256-GCM. After the header come the length of the key's id, the id, the IV, the ciphertext and the tag. Header, id
 * and the key of the entry are authenticated with it.
 */
export class Encryption {
  readonly #keys = new Map<string, KeyObject>();
  readonly #current: KeyObject;
  readonly #id: Buffer;

  /** @throws WarmpathError `WP_BAD_OPTION`, which names the option and never shows a key */
  constructor(options: EncryptionOptions, where: string) {
    if (!encryptionRule.allows(options)) throw badOption(where, 'encryption', encryptionRule.text, options, true);
    checkOptions(`${where}, encryption`, options, parts);
    const { current, keys } = options;
    for (const [id, key] of Object.entries(keys)) this.#keys.set(checkedId(id, where), secretKey(id, key, where));
    const secret = this.#keys.get(current);
    if (!secret) throw badOption(where, 'encryption.current', 'the id of one of the keys', current, true);
    this.#current = secret;
    this.#id = Buffer.from(current);
  }

  seal(header: Buffer, plain: Uint8Array, entryKey: string): Buffer {
    const iv = randomBytes(ivBytes);
    const clear = Buffer.concat([header, Buffer.of(this.#id.length), this.#id, iv]);
    const cipher = createCipheriv(algorithm, this.#current, iv, { authTagLength: tagBytes });
    cipher.setAAD(boundTo(clear, entryKey));
    return Buffer.concat([clear, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** @param at where the header ends */
  open(sealed: Buffer, at: number, entryKey: string): Buffer | 'key' | 'corrupt' {
    const ivAt = at + 1 + (sealed[at] ?? 0);
    const tagAt = sealed.length - tagBytes;
    if (ivAt + ivBytes > tagAt) return 'corrupt';
    const key = this.#keys.get(sealed.toString('utf8', at + 1, ivAt));
    if (!key) return 'key';
    const clear = sealed.subarray(0, ivAt + ivBytes);
    try {
      const decipher = createDecipheriv(algorithm, key, clear.subarray(ivAt), { authTagLength: tagBytes });
      decipher.setAAD(boundTo(clear, entryKey)).setAuthTag(sealed.subarray(tagAt));
      const plain = decipher.update(sealed.subarray(clear.length, tagAt));
      decipher.final(); // throws unless all of it is authentic
      return plain;
    } catch {
      return 'corrupt';
    }
  }
}

/** UTF-16, since in UTF-8 all lone surrogates are one. The clear part says where it ends, so that no two pairs are one. */
function boundTo(clear: Buffer, entryKey: string): Buffer {
  return Buffer.concat([clear, Buffer.from(entryKey, 'utf16le')]);
}

function checkedId(id: string, where: string): string {
  const { length } = Buffer.from(id);
  if (length > 0 && length <= longestId && id.isWellFormed()) return id;
  throw badOption(where, 'encryption.keys', `an object whose ids have 1 to ${longestId} bytes`, id, true);
}

function secretKey(id: string, key: unknown, where: string): KeyObject {
  const bytes = typeof key === 'string' ? decodedKey(key) : key;
  if (bytes instanceof Uint8Array && bytes.length === keyBytes) return createSecretKey(bytes);
  const form = `${keyBytes} bytes, or as many as hex, base64 or base64url text`;
  throw badOption(where, `encryption.keys['${id.slice(0, 40)}']`, form, key, true);
}

function decodedKey(text: string): Buffer | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  return /^(?:[\w-]{43}|[A-Za-z\d+/]{43})=?$/.test(text) ? Buffer.from(text, 'base64url') : undefined;
}
