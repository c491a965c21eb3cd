// node benchmarks/run.ts [NAME] [--json]
// Runs one benchmark, or lists and runs all. With --json the last line of each is one JSON object.

import { parseArgs } from 'node:util';
import { answers } from '#answers';
import { firstSlice } from '#first-slice';
import type { Outcome } from '#harness';
import { keys } from '#keys';

const benchmarks: Readonly<Record<string, () => Promise<Outcome>>> = { keys, 'first-slice': firstSlice, answers };

const { positionals, values } = parseArgs({
  strict: false,
  allowPositionals: true,
  options: { json: { type: 'boolean' } },
});
const [name] = positionals;
const unknown = positionals.length > 1 || (name !== undefined && !Object.hasOwn(benchmarks, name));
if (unknown) {
  console.error(
    `There is no benchmark '${positionals.join(' ')}'. It takes one of: ${Object.keys(benchmarks).join(', ')}.`,
  );
  process.exitCode = 2;
} else {
  if (name === undefined) console.log(`Benchmarks: ${Object.keys(benchmarks).join(', ')}`);
  for (const [each, run] of Object.entries(benchmarks)) {
    if (name !== undefined && name !== each) continue;
    console.log(`\n${each} (Node ${process.version})`);
    const outcome = await run();
    if (values.json) console.log(JSON.stringify({ name: each, node: process.version, ...outcome }));
  }
}
