/**
 * The keys that left last, as 32-bit fingerprints: 12 to 24 bytes each, whatever the length of the key.
 *
 * Every key gets the next position of a ring. Keys whose fingerprints end alike are chained from the youngest to the
 * oldest, and a chain ends where its next position has left the window, so that nothing is ever unlinked: encoders of
 * DEFLATE (RFC 1951, section 4) search their window like that. Where two keys share a fingerprint one of them looks
 * known; that costs a place in a queue, never a wrong value. Both operations are O(1), `add` amortised.
 */
export class GhostQueue {
  #fingerprints = new Uint32Array(0);
  /** For each place of the ring the position before it in its chain. */
  #olders = new Uint32Array(0);
  /** The youngest position of each chain. */
  #youngest = new Uint32Array(0);
  /** The next position; it wraps at 2^32, and differences of positions with it. */
  #next = 1;
  #length = 0;

  /** @param window how many of the last keys will be asked for; the ring grows to hold them */
  add(fingerprint: number, window: number): void {
    if (window > this.#fingerprints.length) this.#growTo(window);
    this.#append(fingerprint);
  }

  /** Whether a key is among the last `window` that were added, and was not taken since; takes it. */
  take(fingerprint: number, window: number): boolean {
    const reach = Math.min(window, this.#length);
    const mask = this.#fingerprints.length - 1;
    let position = this.#youngest[fingerprint & mask] ?? 0;
    // The ages along a chain only grow, so the walk ends.
    while ((this.#next - position) >>> 0 <= reach) {
      const place = position & mask;
      if (this.#fingerprints[place] === fingerprint) {
        this.#fingerprints[place] = taken;
        return true;
      }
      position = this.#olders[place] ?? 0;
    }
    return false;
  }

  #append(fingerprint: number): void {
    const mask = this.#fingerprints.length - 1;
    const place = this.#next & mask;
    const chain = fingerprint & mask;
    this.#fingerprints[place] = fingerprint;
    this.#olders[place] = this.#youngest[chain] ?? 0;
    this.#youngest[chain] = this.#next;
    this.#next = (this.#next + 1) >>> 0;
    if (this.#length <= mask) this.#length++;
  }

  #growTo(window: number): void {
    const old = this.#fingerprints;
    const oldest = this.#next - this.#length;
    const kept = this.#length;
    const capacity = Math.max(smallest, 2 ** Math.ceil(Math.log2(window)));
    this.#fingerprints = new Uint32Array(capacity);
    this.#olders = new Uint32Array(capacity);
    this.#youngest = new Uint32Array(capacity);
    this.#next = 1;
    this.#length = 0;
    for (let index = 0; index < kept; index++) this.#append(old[(oldest + index) & (old.length - 1)] ?? taken);
  }
}

const smallest = 64;

/** No key has it. */
const taken = 0;

/** FNV-1a (Fowler, Noll, Vo), spread by the finalizer of MurmurHash3 (Appleby). Never 0. About 1 ns a character. */
export function fingerprint(text: string, seed: number): number {
  let hash = seed ^ 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0 || 1;
}
