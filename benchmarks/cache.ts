import { cacheContests } from '#cache-contests';
import { keyCount } from '#cache-walks';
import { hitsBesideStore, otherWays } from '#cache-ways';
import { type Measured, measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';
import { hitRates } from '#hit-rates';
import { keys } from '#keys';
import { memoryBytes } from '#memory-bytes';
import { sqlite } from '#sqlite';

/** What does the cache cost, how much does it take, how often does it know, beside what people would use? */
export async function cache(): Promise<Outcome> {
  const ratios: Record<string, number> = {};
  const values: Record<string, number> = {};
  for (const part of [contests, ways, keys, hitRates, memoryBytes, sqlite]) {
    const outcome = await part();
    console.log();
    Object.assign(ratios, outcome.ratios);
    Object.assign(values, outcome.values);
  }
  return { ratios, values };
}

async function contests(): Promise<Outcome> {
  const all = await cacheContests();
  const measured: Measured[] = [];
  for (const contest of all) measured.push(await measure(contest));
  console.log(`Hits on ${keyCount} entries in memory, asked for one after the other, and misses`);
  printTable(measured);
  console.log(
    'Our keys may be any data, and nothing that a caller does to a value reaches another. Our peers take text, and',
  );
  for (const { name, apart } of all) console.log(`  ${name}: ${apart}`);
  return { ratios: ratiosOf(measured), values: nsOf(measured) };
}

async function ways(): Promise<Outcome> {
  const besideStore = await hitsBesideStore();
  const all = { ...(await otherWays()), 'getOrSet.store': besideStore.hits };
  const measured: Measured[] = [];
  for (const [name, ours] of Object.entries(all)) measured.push(await measure({ name, ours, units: keyCount }));
  const storeCalls = besideStore.storeCalls();
  console.log(`Hits of ours in other ways; those beside a store have asked it ${storeCalls} times`);
  printTable(measured);
  return { ratios: {}, values: { ...nsOf(measured), 'getOrSet.store.calls': storeCalls } };
}

/** What ours takes, by its name without its peer's. */
function nsOf(measured: readonly Measured[]): Record<string, number> {
  return Object.fromEntries(measured.map(({ name, oursNs }) => [`${name.replace(/\/.*/, '')}.ns`, rounded(oursNs)]));
}
