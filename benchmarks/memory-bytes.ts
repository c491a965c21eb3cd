import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LRUCache } from 'lru-cache';
import { type Outcome, rounded } from '#harness';
import { MemoryTier } from '../packages/core/dist/cache/memory/memory-tier.js';

const entryCount = 1_000_000;
/** Twice as many go through, so that what remembers keys that have left is full as well. */
const keyCount = 2 * entryCount;
const valueLength = 100;
const ttlMs = 3_600_000;
const runs = 3;

const sides = ['memory', 'lru-cache'] as const;
type Side = (typeof sides)[number];

interface Weighed {
  /** Heap and array buffers, keys and values included. */
  readonly bytesPerEntry: number;
  /** What our tier takes itself to hold. */
  readonly estimatedPerEntry: number;
}

/** What do a million entries with values of 100 characters take, next to lru-cache with a limit and a ttl? */
export async function memoryBytes(): Promise<Outcome> {
  const medians: Record<string, Weighed> = {};
  for (const side of sides) {
    const weighed: Weighed[] = [];
    for (let run = 0; run < runs; run++) weighed.push(await weighInChild(side));
    const [, median] = weighed.toSorted((one, other) => one.bytesPerEntry - other.bytesPerEntry);
    if (median) medians[side] = median;
  }
  const ours = medians.memory?.bytesPerEntry ?? Number.NaN;
  const theirs = medians['lru-cache']?.bytesPerEntry ?? Number.NaN;
  const estimated = medians.memory?.estimatedPerEntry ?? Number.NaN;
  console.log(
    `Bytes for each of ${entryCount} entries with values of ${valueLength} characters, median of ${runs} processes`,
  );
  console.log(`memory ${ours.toFixed(0)} (estimated ${estimated.toFixed(0)}), lru-cache ${theirs.toFixed(0)}`);
  return {
    ratios: { 'memory.bytes/lru-cache.bytes': rounded(ours / theirs) },
    values: {
      'memory.bytesPerEntry': rounded(ours),
      'memory.bytesPerEntry.lru-cache': rounded(theirs),
      'memory.estimatedPerEntry': rounded(estimated),
    },
  };
}

/** In a process of its own: nothing that ran before is on its heap, and it may ask for a collection. */
async function weighInChild(side: Side): Promise<Weighed> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--expose-gc',
    '--max-semi-space-size=64',
    fileURLToPath(import.meta.url),
    side,
  ]);
  return JSON.parse(stdout) as Weighed;
}

function weigh(side: Side): Weighed {
  const before = usedBytes();
  const filled = side === 'memory' ? fillMemory() : fillPeer();
  const bytesPerEntry = (usedBytes() - before) / entryCount;
  if (filled.size !== entryCount) throw new Error(`${side} holds ${filled.size} entries`);
  return { bytesPerEntry, estimatedPerEntry: (filled instanceof MemoryTier ? filled.bytes : 0) / entryCount };
}

function fillMemory(): MemoryTier {
  const limits = { maxEntries: entryCount, maxBytes: 1e12, maxBytesPerTenant: undefined };
  const tier = new MemoryTier({ ...limits, eviction: 's3-fifo' });
  for (let number = 0; number < keyCount; number++) {
    const storedAt = performance.now();
    tier.set(undefined, `question:${number}`, {
      value: answerOf(number),
      isShareable: true,
      storedAt,
      freshUntil: storedAt + ttlMs,
      keptUntil: storedAt + ttlMs,
      computeMs: 12.34,
      tags: undefined,
      fence: 0,
      id: undefined,
      valueBytes: 16 + valueLength,
    });
  }
  return tier;
}

function fillPeer(): LRUCache<string, string> {
  const cache = new LRUCache<string, string>({ max: entryCount, ttl: ttlMs });
  for (let number = 0; number < keyCount; number++) cache.set(`question:${number}`, answerOf(number));
  return cache;
}

/** A text of its own for each entry, in one piece on the heap. */
function answerOf(number: number): string {
  return Buffer.from(String(number).padEnd(valueLength)).toString('latin1');
}

function usedBytes(): number {
  for (let turn = 0; turn < 3; turn++) globalThis.gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

if (import.meta.main) {
  const side = sides.find((each) => each === process.argv[2]);
  if (side) console.log(JSON.stringify(weigh(side)));
}
