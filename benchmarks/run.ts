// node benchmarks/run.ts [NAME] [--json]
// Runs one benchmark, or lists and runs all. With --json the last line of each is one JSON object.

import { parseArgs } from 'node:util';
import { answers } from '#answers';
import { batcher } from '#batcher';
import { cache } from '#cache';
import type { Outcome } from '#harness';
import { keys } from '#keys';
import { limiter } from '#limiter';
import { resilience } from '#resilience';
import { sharedCache } from '#shared-cache';

const benchmarks: Readonly<Record<string, () => Promise<Outcome>>> = {
  keys,
  cache,
  'shared-cache': sharedCache,
  limiter,
  batcher,
  resilience,
  answers,
};

const names = Object.keys(benchmarks).join(', ');

function readCommandLine(): { readonly name: string | undefined; readonly json: boolean } | undefined {
  try {
    const { positionals, values } = parseArgs({ allowPositionals: true, options: { json: { type: 'boolean' } } });
    const [name] = positionals;
    if (positionals.length < 2 && (name === undefined || Object.hasOwn(benchmarks, name))) {
      return { name, json: values.json === true };
    }
    console.error(`There is no benchmark '${positionals.join(' ')}'. It takes one of: ${names}.`);
  } catch (error) {
    const [reason] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    console.error(`${reason}. It takes a name (${names}) and --json.`);
  }
  return undefined;
}

const asked = readCommandLine();
if (!asked) process.exitCode = 2;
else {
  if (asked.name === undefined) console.log(`Benchmarks: ${names}`);
  for (const [name, run] of Object.entries(benchmarks)) {
    if (asked.name !== undefined && asked.name !== name) continue;
    console.log(`\n${name} (Node ${process.version})`);
    const outcome = await run();
    if (asked.json) console.log(JSON.stringify({ name, node: process.version, ...outcome }));
  }
}
