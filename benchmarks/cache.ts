import { cacheContests } from '#cache-contests';
import { keyCount } from '#cache-walks';
import { hitsBesideStore, otherWays } from '#cache-ways';
import { type Measured, measure, type Outcome, printTable, ratiosOf, rounded } from '#harness';
import { keys } from '#keys';

/**
 * What does a hit cost, next to the caches that people would take otherwise? In memory only: a thousand keys that are text
 * and made beforehand, answers of about 250 bytes, asked for one after the other.
 */
export async function cache(): Promise<Outcome> {
  const besidePeers = await inContests();
  const alone = await inOtherWays();
  const ofKeys = await keys();
  return {
    ratios: { ...ratiosOf(besidePeers), ...ofKeys.ratios },
    values: { ...alone, ...ofKeys.values },
  };
}

async function inContests(): Promise<Measured[]> {
  const contests = await cacheContests();
  const measured: Measured[] = [];
  for (const contest of contests) measured.push(await measure(contest));
  console.log(`A hit on one of ${keyCount} entries in memory, and a miss`);
  printTable(measured);
  console.log(
    'Ours takes any data as its key and gives each caller a value that no other can change. The peers take text;',
  );
  for (const { name, apart } of contests) console.log(`  ${name}: ${apart}`);
  return measured;
}

async function inOtherWays(): Promise<Record<string, number>> {
  const besideStore = await hitsBesideStore();
  const ways = { ...(await otherWays()), 'getOrSet.store': besideStore.hits };
  const measured: Measured[] = [];
  for (const [name, ours] of Object.entries(ways)) measured.push(await measure({ name, ours, units: keyCount }));
  console.log('\nThe same in other ways');
  printTable(measured);
  const values = Object.fromEntries(measured.map(({ name, oursNs }) => [`${name}.ns`, rounded(oursNs)]));
  return { ...values, 'getOrSet.store.calls': besideStore.storeCalls() };
}
