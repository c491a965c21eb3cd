import { describe, expect, expectTypeOf, it } from 'vitest';
import { type PipelineReport, type PipelineRun, pipeline } from './index.js';

/** The compiler is the test here: each `@ts-expect-error` fails the type check when its line compiles. */
const answer = pipeline<{ question: string }>('answer')
  .step('decide', { run: ({ input }) => input.question.length > 3 })
  .step('retrieve', { after: ['decide'], timeout: '2s', run: async ({ results }) => [String(results.decide)] })
  .step('search', { after: ['decide'], optional: true, timeout: '800ms', run: async () => ({ hits: 1 }) })
  .step('rerank', { after: ['retrieve'], when: ({ results }) => results.retrieve.length > 1, run: () => 5 })
  .step('answer', {
    after: ['retrieve', 'search', 'rerank'],
    run: ({ input, results, signal }) => {
      expectTypeOf(input).toEqualTypeOf<{ question: string }>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(results.retrieve).toEqualTypeOf<string[]>();
      expectTypeOf(results.search).toEqualTypeOf<{ hits: number } | undefined>();
      expectTypeOf(results.rerank).toEqualTypeOf<number | undefined>();
      // @ts-expect-error it did not name this one
      expect(results.decide).toBeUndefined();
      return 'text';
    },
  });

interface Results {
  readonly decide: boolean;
  readonly retrieve: string[];
  readonly search: { hits: number } | undefined;
  readonly rerank: number | undefined;
  readonly answer: string;
}

describe('types of a pipeline', () => {
  it('know the results of all steps by name, and which may be missing', async () => {
    const run = await answer.run({ question: 'why?' });
    expectTypeOf(run).toEqualTypeOf<PipelineRun<Results>>();
    const report = await answer.runSettled({ question: 'why?' });
    expectTypeOf(report).toEqualTypeOf<PipelineReport<Results>>();
    if (report.endedBy !== 'done') expectTypeOf(report.results.answer).toEqualTypeOf<string | undefined>();
    expect(run.results).toEqual({
      decide: true,
      retrieve: ['true'],
      search: { hits: 1 },
      rerank: undefined,
      answer: 'text',
    });
  });

  it('let a step be conditional and optional at once, or plainly required', () => {
    const both = pipeline('both').step('a', { optional: true, when: () => true, run: () => 1 });
    expectTypeOf(both.run).returns.resolves.toHaveProperty('results').toEqualTypeOf<{
      readonly a: number | undefined;
    }>();
    const plain = pipeline('plain').step('a', { optional: false, run: () => 1 });
    expectTypeOf(plain.run).returns.resolves.toHaveProperty('results').toEqualTypeOf<{ readonly a: number }>();
  });

  it('know what comes of what is like a promise, such as a query', async () => {
    const query: PromiseLike<string[]> = Promise.resolve(['row']);
    const { results } = await pipeline('plain')
      .step('rows', { run: () => query })
      .run();
    expectTypeOf(results.rows).toEqualTypeOf<string[]>();
    expect(results.rows).toEqual(['row']);
  });

  it('need no input where none was named', async () => {
    expect(
      (
        await pipeline('plain')
          .step('a', { run: () => 1 })
          .run()
      ).results,
    ).toEqual({ a: 1 });
  });

  it('refuse wrong graphs', () => {
    const one = pipeline('one').step('a', { run: () => 1 });
    // @ts-expect-error no such step
    expect(() => one.step('b', { after: ['c'], run: () => 1 })).toThrow("'after'");
    // @ts-expect-error a step that needs itself
    expect(() => one.step('b', { after: ['b'], run: () => 1 })).toThrow("'after'");
    // @ts-expect-error the name is taken
    expect(() => one.step('a', { run: () => 1 })).toThrow("'step'");
    // @ts-expect-error nothing to run
    expect(() => one.step('b', { after: ['a'] })).toThrow("'run'");
    // @ts-expect-error a question that is answered later would always count as yes
    expect(() => one.step('b', { when: async () => false, run: () => 1 })).not.toThrow();
    // @ts-expect-error no such option
    expect(() => one.step('b', { afer: ['a'], run: () => 1 })).toThrow("'after'");
    // @ts-expect-error a pipeline without a step cannot run
    expectTypeOf(pipeline('none').run).toBeFunction();
  });

  it('refuse an input of another type', () => {
    // @ts-expect-error the input has a question
    expectTypeOf(answer.run).toBeCallableWith({ text: 'why?' });
  });
});
