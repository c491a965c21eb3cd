import type { Random } from '../../../kernel/index.js';

const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

function randomText(random: Random, length: number): string {
  let text = '';
  for (let at = 0; at < length; at++) text += characters[Math.floor(random() * characters.length)];
  return text;
}

/** 72 bits: no two namespaces ever have the same one. */
export function newEpoch(random: Random): string {
  return randomText(random, 12);
}

/** 48 bits: it differs from all that its key has had within an hour. As long as `record.ts` has place for. */
export function newGeneration(random: Random): string {
  return randomText(random, 8);
}

/** Who publishes: 96 bits. */
export function newPublisher(random: Random): string {
  return randomText(random, 16);
}
