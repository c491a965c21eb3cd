import { type Measured, measure, type Outcome, printTable, ratiosOf } from '#harness';
import { breakerMemory } from '#resilience-breaker';
import { policyContests } from '#resilience-contests';
import { pooledRequests } from '#resilience-http';

/** What do retries, breakers and timeouts cost where nothing fails, and a request over a pool? */
export async function resilience(): Promise<Outcome> {
  const measured: Measured[] = [];
  for (const contest of await policyContests()) measured.push(await measure(contest));
  console.log('One call of an async function that does nothing, through policies that have nothing to do');
  printTable(measured);
  console.log();
  const memory = await breakerMemory();
  console.log();
  const requests = await pooledRequests();
  return {
    ratios: { ...ratiosOf(measured), ...requests.ratios },
    values: { ...memory.values, ...requests.values },
  };
}
