/** A source of chance: each call gives a number in [0, 1). */
export type Random = () => number;

export const systemRandom: Random = () => Math.random();

/**
 * A repeatable source: the same seed gives the same numbers on every machine.
 * The lower 32 bits of the seed's whole part count. The generator is sfc32 (Chris Doty-Humphrey, PractRand), its state filled from the seed by splitmix32. Not for secrets.
 */
export function seededRandom(seed: number): Random {
  let mixed = seed | 0;
  const splitmix = (): number => {
    mixed = (mixed + 0x9e3779b9) | 0;
    let z = mixed ^ (mixed >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let a = splitmix();
  let b = splitmix();
  let c = splitmix();
  let counter = 1;
  return function next() {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return (sum >>> 0) / 2 ** 32;
  };
}
