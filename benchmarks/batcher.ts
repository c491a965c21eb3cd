import { batchContests } from '#batcher-contests';
import { printReplays, replays, valuesOf } from '#batcher-replay';
import { executorContests } from '#executor-contests';
import { type Measured, measure, type Outcome, printTable, ratiosOf } from '#harness';

/** What does a load cost, and a task, next to the libraries that people would take otherwise? How full are batches? */
export async function batcher(): Promise<Outcome> {
  const measured: Measured[] = [];
  for (const contest of [...batchContests(), ...(await executorContests())]) measured.push(await measure(contest));
  console.log('a load of 32 that fill a batch; a task of 1,000');
  printTable(measured);
  const replayed = await replays();
  printReplays(replayed);
  return { ratios: ratiosOf(measured), values: replayed ? valuesOf(replayed) : {} };
}
