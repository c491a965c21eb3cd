import type { Reporter, TestCase, TestModule, TestRunEndReason, TestSuite, Vitest } from 'vitest/node';

/** A real part that tests may need: the name that people know it by, and under which name `services.ts` provides it. */
const realParts = [
  { name: 'Redis', provided: 'redisUrl' },
  { name: 'Chromium', provided: 'chromium' },
] as const;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/**
 * Ends each run with the names of the skipped tests and why, then one line alone: `N passed, N failed[, N skipped]`.
 * A file that fails outside its tests counts as one failed test. With `CI=true` a skipped test fails the run, unless
 * the caller chose tests by name (`-t`), which skips all others.
 */
export default class SummaryReporter implements Reporter {
  #byName = false;
  #watching = false;
  #last: string | undefined;

  onInit(vitest: Vitest): void {
    // Vitest and the teardown may still have something to say, so the last line waits for the end of the process. A
    // set-up that ends it lets no file run.
    process.once('exit', (status) => {
      if (!this.#watching && (this.#last !== undefined || status === 1)) print(this.#last ?? '\n0 passed, 1 failed');
    });
    this.#byName = vitest.config.testNamePattern !== undefined;
    this.#watching = vitest.config.watch;
  }

  onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly unknown[] = [],
    reason: TestRunEndReason = 'passed',
  ): void {
    try {
      this.#report(modules, unhandled, reason);
    } catch (error) {
      print(`The summary could not be made: ${error}`);
      process.exitCode = 1;
    }
  }

  #report(modules: readonly TestModule[], unhandled: readonly unknown[], reason: TestRunEndReason): void {
    const counts: Counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    const skipped = new Map<string, string[]>();
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') counts.passed++;
        else if (state === 'failed') counts.failed++;
        else if (!this.#byName) {
          counts.skipped++;
          const why = state === 'pending' ? 'the run ended before them' : skipReason(test);
          skipped.set(why, [...(skipped.get(why) ?? []), test.fullName]);
        }
      }
      counts.failed += failuresOutsideTests(module);
    }
    for (const [why, names] of skipped) {
      print(`\nSkipped, since ${why}:`);
      for (const name of names) print(`  ${name}`);
    }
    if (counts.skipped > 0 && process.env.CI === 'true') {
      print('\nWith CI=true every test must run: a skipped one fails the run.');
      process.exitCode = 1;
    }
    // A set-up that fails lets no file run; its error is printed after this.
    if (modules.length === 0 && reason === 'failed') counts.failed ||= 1;
    if (counts.failed > 0) process.exitCode = 1;
    const skippedPart = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    const last = `\n${counts.passed} passed, ${counts.failed} failed${skippedPart}`;
    if (this.#watching) print(last);
    this.#last = last;
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** A syntax error, a failed import, a hook that throws: nothing of it shows in any one test. */
function failuresOutsideTests(parent: TestModule | TestSuite): number {
  let failures = parent.errors().length > 0 ? 1 : 0;
  for (const suite of parent.children.suites()) failures += failuresOutsideTests(suite);
  return failures;
}

function skipReason(test: TestCase): string {
  const result = test.result();
  if (result.state === 'skipped' && result.note) return result.note;
  if (test.options.mode === 'todo') return 'they are still to be written';
  const provided: Readonly<Record<string, unknown>> = { ...test.project.getProvidedContext() };
  const names = `${test.module.moduleId} ${test.fullName}`.toLowerCase();
  const missing = realParts.find(
    (part) => names.includes(part.name.toLowerCase()) && part.provided in provided && !provided[part.provided],
  );
  if (missing) return `${missing.name} is missing`;
  for (let around: TestCase['parent'] = test.parent; ; around = around.parent) {
    if (around.errors().length > 0) return 'what should prepare them failed';
    if (around.type === 'module') return 'the code switches them off';
  }
}
