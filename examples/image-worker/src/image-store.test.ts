import { describe, expect, it } from 'vitest';
import { ImageStore } from './image-store.js';

const image = (bytes: number) => ({ thumbnail: Buffer.alloc(1), resized: Buffer.alloc(bytes - 1) });

describe('the image store', () => {
  it('holds so many bytes, and lets the image go that was unused for longest', () => {
    const store = new ImageStore(100);
    store.put('a', image(40));
    store.put('b', image(40));
    store.get('a');
    store.put('c', image(40));
    expect(['a', 'b', 'c'].map((id) => store.get(id) !== undefined)).toEqual([true, false, true]);
    expect(store.bytes).toBe(80);
  });

  it('counts an image once that comes twice, and does not keep one above the limit', () => {
    const store = new ImageStore(100);
    store.put('a', image(40));
    store.put('a', image(50));
    expect(store.bytes).toBe(50);
    store.put('b', image(101));
    expect([store.bytes, store.get('b')]).toEqual([0, undefined]);
  });
});
