import { describe, expect, it } from 'vitest';
import { parseSlots } from './cluster-slots.js';

describe('the answer to CLUSTER SLOTS', () => {
  it('says whose each slot is', () => {
    const slots = parseSlots(
      [
        [0, 99, ['10.0.0.1', 7000, 'id'], ['10.0.0.9', 7009, 'replica']],
        [100, 100, ['::1', 7001, 'id']],
        [200, 16_383, ['10.0.0.1', 7000, 'id']],
      ],
      'asked',
    );
    expect([...slots.masters]).toEqual(['10.0.0.1:7000', '::1:7001']);
    expect([0, 99, 100, 101, 200, 16_383].map((slot) => slots.ownerOf(slot))).toEqual([
      '10.0.0.1:7000',
      '10.0.0.1:7000',
      '::1:7001',
      undefined,
      '10.0.0.1:7000',
      '10.0.0.1:7000',
    ]);
  });

  it('takes a server that does not know its own name for the one that was asked', () => {
    for (const unnamed of [null, '']) {
      expect(parseSlots([[0, 1, [unnamed, 7000, 'id']]], 'asked').ownerOf(1)).toBe('asked:7000');
    }
  });

  it('may be anything', () => {
    for (const reply of [null, 'OK', [], [[]], [[0, 1]], [[0, 1, ['?', 7000, 'id']]], [['a', 1, ['host', 1]]]]) {
      expect(parseSlots(reply, 'asked').masters.size).toBe(0);
    }
  });
});
