import type { CostByUnit, Lease, LeaseEnd } from '../contract.js';

/**
 * The same chunks, with the lease settled exactly once at what they say was used: at the end, when they fail, when their
 * reader leaves. What is not said stays as reserved, so a stream that breaks before it says anything costs its estimate. A
 * stream that lasts keeps its lease: past half of the time to live it is extended when a chunk comes. A stream that is never
 * read leaves the lease to expire. Only one that comes to its end teaches what such calls answer.
 * @param used what was used up to this chunk, in all; undefined where it says nothing new
 */
export function settleFromStream<T>(
  lease: Lease,
  chunks: AsyncIterable<T>,
  used: (chunk: T, soFar: CostByUnit) => CostByUnit | undefined,
): AsyncGenerator<T> {
  return settling(lease, chunks, used, lease.leftMs); // a generator's own body would wait for the first next()
}

async function* settling<T>(
  lease: Lease,
  chunks: AsyncIterable<T>,
  used: (chunk: T, soFar: CostByUnit) => CostByUnit | undefined,
  ttlMs: number,
): AsyncGenerator<T> {
  let soFar: CostByUnit = {};
  let isSettled = false;
  let end: LeaseEnd = 'cut';
  const settle = (): void => {
    if (isSettled) return;
    isSettled = true;
    lease.settle(soFar, end);
  };
  try {
    for await (const chunk of chunks) {
      soFar = used(chunk, soFar) ?? soFar;
      const { leftMs } = lease;
      if (leftMs > 0 && leftMs < ttlMs / 2) lease.extend(ttlMs);
      let isReadOn = false;
      try {
        yield chunk;
        isReadOn = true;
      } finally {
        if (!isReadOn) settle(); // before the source is closed, which may take its time
      }
    }
    end = 'complete';
  } finally {
    settle();
  }
}
