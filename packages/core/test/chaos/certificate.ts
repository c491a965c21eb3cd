import { generateKeyPairSync, sign } from 'node:crypto';

export interface Certificate {
  /** Both as PEM. A client that is to trust it takes `cert` as its `ca`. */
  readonly cert: string;
  readonly key: string;
}

/** ASN.1 in DER (ITU-T X.690): a tag, a length, what is in it. */
function der(tag: number, ...content: readonly (Uint8Array | readonly number[])[]): Buffer {
  const inside = Buffer.concat(content.map((each) => Buffer.from(each)));
  const { length } = inside;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...head]), inside]);
}

const sequence = (...content: readonly Uint8Array[]): Buffer => der(0x30, ...content);
const oid = (...bytes: readonly number[]): Buffer => der(0x06, bytes);
const time = (text: string): Buffer => der(0x18, Buffer.from(text));
const trueValue = der(0x01, [0xff]);

/** For `localhost` and 127.0.0.1, signed by itself (RFC 5280) with a new key, so that no key lies in the tree. */
export function selfSigned(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
  const name = sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from('localhost')))));
  const alternatives = sequence(der(0x82, Buffer.from('localhost')), der(0x87, [127, 0, 0, 1]));
  const extensions = sequence(
    sequence(oid(0x55, 0x1d, 0x13), trueValue, der(0x04, sequence(trueValue))),
    sequence(oid(0x55, 0x1d, 0x11), der(0x04, alternatives)),
  );
  const body = sequence(
    der(0xa0, der(0x02, [2])),
    der(0x02, [1]),
    ecdsaWithSha256,
    name,
    sequence(time('20000101000000Z'), time('99991231235959Z')),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, extensions),
  );
  const signature = der(0x03, [0], sign('sha256', body, privateKey));
  const lines = sequence(body, ecdsaWithSha256, signature)
    .toString('base64')
    .match(/.{1,64}/g);
  return {
    cert: ['-----BEGIN CERTIFICATE-----', ...(lines ?? []), '-----END CERTIFICATE-----', ''].join('\n'),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}
