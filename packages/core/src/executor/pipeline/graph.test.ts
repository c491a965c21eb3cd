import { describe, expect, it } from 'vitest';
import { type PipelineOptions, pipeline } from './index.js';

describe('what a pipeline refuses', () => {
  const one = pipeline('p').step('a', { run: () => 1 });

  it.each<[unknown, unknown, RegExp]>([
    ['', { run: () => 1 }, /'step' must be a string that is not empty/],
    ['a', { run: () => 1 }, /pipeline 'p': option 'step' must be a name that no earlier step has, got 'a'/],
    ['b', undefined, /'step' must be an object/],
    ['b', { after: ['c'], run: () => 1 }, /step 'b': option 'after' must be names of earlier steps \('a'\), got 'c'/],
    ['b', { after: ['a', 'a'], run: () => 1 }, /each once/],
    ['b', { after: 'a', run: () => 1 }, /'after' must be a list/],
    ['b', { after: ['a'] }, /'run' must be a function/],
    ['b', { run: () => 1, timeout: 0 }, /'timeout' must be a duration above 0/],
    ['b', { run: () => 1, optional: 'yes' }, /'optional' must be true or false/],
    ['b', { run: () => 1, when: true }, /'when' must be a function/],
    ['b', { run: () => 1, aftr: [] }, /did you mean 'after'/],
  ])('a step %j with bad options (%#)', (name, step, message) => {
    expect(() => one.step(name as never, step as never)).toThrow(
      expect.objectContaining({ code: 'WP_BAD_OPTION', message: expect.stringMatching(message) }),
    );
  });

  it('bad options of its own and of a run, and a run without a step', async () => {
    expect(() => pipeline('')).toThrow("'name' must be");
    expect(() => pipeline('p', { executer: {} } as PipelineOptions)).toThrow("did you mean 'executor'");
    expect(() => pipeline('p', { executor: {} } as PipelineOptions)).toThrow("'executor' must be an executor");
    await expect(one.run(undefined, { timeout: -1 })).rejects.toThrow("'timeout' must be");
    await expect(one.run(undefined, { signal: {} as AbortSignal })).rejects.toThrow("'signal' must be an AbortSignal");
    const empty = pipeline('p') as typeof one;
    await expect(empty.run()).rejects.toThrow("'step' must be defined once at least");
  });
});
