import { run } from './process.mjs';

const packages = ['packages/core', 'packages/express', 'packages/nestjs'];

/** Everything that can be said of the code without running it. Each step runs, so that one call shows every fault. */
const steps = [
  { name: 'types', command: 'tsc', args: ['--project', 'tsconfig.json'] },
  {
    name: 'lint, format, import rules',
    command: 'biome',
    args: ['ci', '--error-on-warnings', `--colors=${process.stdout.isTTY ? 'force' : 'off'}`, '.'],
  },
  { name: 'unused files and dependencies', command: 'knip', args: [] },
  ...packages.flatMap((folder) => [
    { name: `publint ${folder}`, command: 'publint', args: ['--strict', '--pack', 'npm', folder] },
    // Our packages are ESM only: CommonJS reaches them through require(esm), which this profile allows for.
    {
      name: `types as published, ${folder}`,
      command: 'attw',
      args: ['--pack', folder, '--profile', 'esm-only', '--quiet'],
    },
  ]),
];

/** @returns {Promise<number>} */
export async function check() {
  const failed = [];
  for (const { name, command, args } of steps) {
    const status = await run(command, args, { quiet: true });
    console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name}`);
    if (status !== 0) failed.push(name);
  }
  if (failed.length > 0) console.error(`\n${failed.length} of ${steps.length} checks failed: ${failed.join('; ')}.`);
  return failed.length > 0 ? 1 : 0;
}
