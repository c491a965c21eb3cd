import { describe, expect, it } from 'vitest';
import { type Finished, runProgram } from './house/project.js';

const bench = (...args: string[]): Promise<Finished> => runProgram('node', ['benchmarks/run.ts', ...args]);

describe('a benchmark', () => {
  it('with --json ends with one line that a program can read', async () => {
    const { status, stdout } = await bench('keys', '--json');
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(2); // the table for people comes before it
    const outcome = JSON.parse(lines.at(-1) ?? '') as Record<'ratios' | 'values', Record<string, unknown>>;
    expect(outcome).toEqual({
      name: 'keys',
      node: process.version,
      ratios: expect.any(Object),
      values: expect.any(Object),
    });
    expect(Object.keys(outcome.ratios)).toContain('digestKey/object-hash');
    expect(Object.keys(outcome.values)).toContain('key.nsPerKB');
    for (const number of [...Object.values(outcome.ratios), ...Object.values(outcome.values)]) {
      expect(number).toBeGreaterThan(0);
      expect(number).toBeLessThan(Number.POSITIVE_INFINITY);
    }
  });

  it.each(['nothing', 'keys batcher', 'constructor'])(
    'is refused with the list where there is no %s',
    async (names) => {
      const { status, stdout, stderr } = await bench(...names.split(' '));
      expect(status).toBe(2);
      expect(stderr).toMatch(new RegExp(`^There is no benchmark '${names}'\\. It takes one of: keys, .*batcher`));
      expect(stdout).toBe('');
    },
  );

  it.each(['--jsno', '--json=yes', '-j'])('with the flag %s is refused before it begins', async (flag) => {
    const { status, stdout, stderr } = await bench('keys', flag);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^.+ It takes a name \(keys, .*\) and --json\.\n$/);
    expect(stderr).toContain(flag.slice(0, 6));
    expect(stdout).toBe('');
  });
});
