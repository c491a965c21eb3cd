import { DefaultDeserializer, DefaultSerializer, serialize } from 'node:v8';
import { kindNamed, kindNumber, kindOf, viewOf } from '../isolation/views.js';

/** The bytes of V8's serialiser begin with this and its version. */
const v8Magic = 0xff;

/** That of Node.js 22 and 24. V8 reads all that came before as well, but nothing of ours was ever written in that. */
const oldestVersion = 15;

const newestVersion: number = serialize(undefined)[1] ?? oldestVersion;

/** Views as their kind and just their own bytes. */
class ValueSerializer extends DefaultSerializer {
  _writeHostObject(object: object): void {
    if (!ArrayBuffer.isView(object)) throw new TypeError('A handle of the system has no bytes.');
    this.writeUint32(kindNumber(kindOf(object)));
    this.writeUint32(object.byteLength);
    this.writeRawBytes(new Uint8Array(object.buffer, object.byteOffset, object.byteLength));
  }
}

class ValueDeserializer extends DefaultDeserializer {
  /** Whether there is a kind of view that this runtime does not have. */
  hasUnknownKind = false;

  /** Each view gets memory of its own: it outlives the bytes, which may be large or be used again. */
  _readHostObject(): ArrayBufferView {
    const kind = kindNamed(this.readUint32());
    const bytes = this.readRawBytes(this.readUint32());
    const view = viewOf(kind, Uint8Array.from(bytes).buffer);
    this.hasUnknownKind ||= !view;
    if (!view) throw new TypeError('The kind of a view is not known.');
    return view;
  }
}

/** @returns the prefix and the bytes of the value, or undefined when it has none */
export function serializeValue(value: unknown, prefix: Uint8Array): Buffer | undefined {
  try {
    const serializer = new ValueSerializer();
    serializer.writeRawBytes(prefix);
    serializer.writeHeader();
    serializer.writeValue(value);
    return serializer.releaseBuffer();
  } catch {
    return undefined;
  }
}

export function deserializeValue(
  bytes: Buffer,
): { readonly value: unknown } | { readonly rejected: 'version' | 'corrupt' } {
  if (bytes[0] !== v8Magic || bytes[1] === undefined) return { rejected: 'corrupt' };
  if (bytes[1] < oldestVersion || bytes[1] > newestVersion) return { rejected: 'version' };
  const deserializer = new ValueDeserializer(bytes);
  try {
    deserializer.readHeader();
    return { value: deserializer.readValue() };
  } catch {
    return { rejected: deserializer.hasUnknownKind ? 'version' : 'corrupt' };
  }
}
