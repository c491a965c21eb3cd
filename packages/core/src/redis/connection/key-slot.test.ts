import { expect, it } from 'vitest';
import { keySlot } from './key-slot.js';

// What `CLUSTER KEYSLOT` of Redis 7 answers.
it.each([
  ['', 0],
  ['123456789', 12739],
  ['foo', 12182],
  ['{user1000}.following', 3443],
  ['{user1000}.followers', 3443],
  ['foo{}{bar}', 8363],
  ['foo{{bar}}zap', 4015],
  ['foo{bar}{zap}', 5061],
  ['}{', 12793],
  ['größe 🙂', 3917],
])('says of %j that its slot is %i', (key, slot) => {
  expect(keySlot(key)).toBe(slot);
});
