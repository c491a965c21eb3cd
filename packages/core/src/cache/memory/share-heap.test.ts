import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Partition } from './partition.js';
import { ShareHeap } from './share-heap.js';

describe('ShareHeap', () => {
  it('names the largest, and the largest of all others, as a sorted list does', () => {
    const index = fc.integer({ min: 0, max: 19 });
    const command = fc.oneof(
      fc.record({ partition: index, share: fc.integer({ min: 0, max: 30 }) }),
      fc.record({ remove: index }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 80, size: 'max' }), (commands) => {
        const heap = new ShareHeap();
        const all = Array.from({ length: 20 }, (_, number) => new Partition(`tenant ${number}`, 0));
        const inside = new Set<Partition>();
        for (const each of commands) {
          const partition = all['remove' in each ? each.remove : each.partition] as Partition;
          if ('share' in each) {
            partition.share = each.share;
            if (inside.has(partition)) heap.update(partition);
            else heap.add(partition);
            inside.add(partition);
          } else if (inside.delete(partition)) heap.remove(partition);
          const shares = [...inside].map(({ share }) => share);
          expect(heap.size).toBe(inside.size);
          expect(heap.largest?.share).toBe(inside.size > 0 ? Math.max(...shares) : undefined);
          for (const but of inside) {
            const others = [...inside].filter((other) => other !== but).map(({ share }) => share);
            expect(heap.largestBut(but)?.share).toBe(others.length > 0 ? Math.max(...others) : undefined);
            expect(heap.largestBut(but)).not.toBe(but);
          }
          for (const partition of all) expect(partition.heapIndex >= 0).toBe(inside.has(partition));
        }
      }),
    );
  });
});
