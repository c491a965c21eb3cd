import { batchContests } from '#batcher-contests';
import { measure, type Outcome, printTable, ratiosOf } from '#harness';

/** What does a load cost, and a task, next to the libraries that people would take otherwise? How full are batches? */
export async function batcher(): Promise<Outcome> {
  const measured = [];
  for (const contest of batchContests()) measured.push(await measure(contest));
  printTable(measured);
  return { ratios: ratiosOf(measured), values: {} };
}
