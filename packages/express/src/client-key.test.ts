import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressKey } from './client-key.js';

describe('addressKey()', () => {
  it.each([
    ['203.0.113.7', 'ip:203.0.113.7'],
    ['::ffff:203.0.113.7', 'ip:203.0.113.7'],
    ['::ffff:cb00:7107', 'ip:203.0.113.7'],
    ['2001:db8:1:2ff::1', 'ip:2001:db8:1:200::/56'],
    ['2001:DB8:0001:02FF:0:0:0:1', 'ip:2001:db8:1:200::/56'],
    ['::1', 'ip:::/56'],
    ['fe80::1%eth0', 'ip:fe80::/56'],
  ])('counts %s as %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  it.each([
    ['203.0.113.7:50123', 'ip:203.0.113.7'],
    ['[2001:db8:1:2ff::1]:443', 'ip:2001:db8:1:200::/56'],
    ['[2001:db8:1:2ff::1]', 'ip:2001:db8:1:200::/56'],
  ])('leaves out the port that some proxies write: %s', (address, key) => {
    expect(addressKey(address)).toBe(key);
  });

  it.each([
    undefined,
    '',
    'unknown',
    '_hidden',
    '203.0.113.7:',
    '203.0.113.7:99:1',
    '[203.0.113.7',
    '2001:db8::/32',
    ':',
    '[]',
  ])('counts %j as one unknown client', (address) => {
    expect(addressKey(address)).toBe('ip:unknown');
  });

  it('never throws, whatever a proxy writes', () => {
    const odd = fc.oneof(fc.string(), fc.ipV4(), fc.ipV6(), fc.stringMatching(/^[0-9a-f:.%[\]/]{0,40}$/));
    fc.assert(fc.property(odd, (address) => addressKey(address).startsWith('ip:')));
  });

  it('gives the addresses of one /56 one key, and those of another /56 another', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        fc.tuple(group, group, group, group),
        fc.tuple(group, group, group, group),
        group,
        (net, host, other) => {
          const [a, b, c, d] = net;
          const address = (fourth: number, hosts: readonly number[]) =>
            [a | 0x2000, b, c, fourth, ...hosts].map((part) => part.toString(16)).join(':');
          const key = addressKey(address(d, host));
          expect(addressKey(address((d & 0xff00) | (other & 0xff), [0, 0, 0, 1]))).toBe(key);
          expect(addressKey(address(d ^ 0x0100, host))).not.toBe(key);
        },
      ),
    );
  });
});
