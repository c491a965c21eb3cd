// A stand-in of the lead, so that the rest compiles: to be replaced by the owner of this folder.
import { deserialize, serialize } from 'node:v8';
import { type ByteSize, type Rules, rule } from '../../kernel/index.js';

export interface CodecOptions {
  readonly compression?: boolean | ByteSize;
  readonly encryption?: { readonly current: string; readonly keys: Readonly<Record<string, Uint8Array | string>> };
}

export const codecRules: Rules<CodecOptions> = {
  compression: rule.either(rule.boolean, rule.byteSize),
  encryption: rule.object,
};

export interface Codec {
  encode(value: unknown, key: string): Uint8Array | undefined;
  decode(
    bytes: Uint8Array,
    key: string,
  ): { readonly value: unknown } | { readonly rejected: 'foreign' | 'version' | 'corrupt' | 'key' };
}

export function createCodec(_options: {
  compression: CodecOptions['compression'] | undefined;
  encryption: CodecOptions['encryption'] | undefined;
}): Codec {
  return {
    encode(value) {
      try {
        return serialize(value);
      } catch {
        return undefined;
      }
    },
    decode(bytes) {
      try {
        return { value: deserialize(bytes) };
      } catch {
        return { rejected: 'corrupt' };
      }
    },
  };
}
