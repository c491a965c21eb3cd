import type { RunEnd, RunReport, TaskCollection, TaskName, TaskOutcome } from './outcome.js';

/** Of any collection of tasks. */
export type AnyName = TaskName<TaskCollection>;

/** What failed, by name, and what it failed with. */
export interface NamedFailure {
  readonly name: AnyName;
  readonly error: unknown;
}

/** @param cause what ended the run, where something did; `values()` throws it */
export function reportOf(
  names: readonly AnyName[],
  outcomes: TaskOutcome<unknown>[],
  isList: boolean,
  endedBy: RunEnd,
  cause: unknown,
): RunReport<TaskCollection> {
  const byName = <T>(list: T[]): T[] | Record<string, T> =>
    isList ? list : Object.fromEntries(list.map((each, index) => [names[index], each]));
  const namesOf = (...statuses: readonly TaskOutcome<unknown>['status'][]): AnyName[] =>
    names.filter((_, index) => statuses.some((status) => outcomes[index]?.status === status));
  const isComplete = outcomes.every(({ status }) => status === 'fulfilled');
  return {
    outcomes: byName(outcomes),
    endedBy,
    isComplete,
    failed: namesOf('rejected'),
    unfinished: namesOf('timed-out', 'aborted', 'not-started'),
    values() {
      if (cause !== undefined) throw cause;
      const failures = outcomes.flatMap((outcome, index) =>
        outcome.status === 'fulfilled' ? [] : [{ name: names[index] ?? index, error: errorOf(outcome) }],
      );
      if (failures.length > 0) throw namedErrors(`${failures.length} of ${names.length} tasks have no value`, failures);
      return byName(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : undefined)));
    },
  };
}

/** Why there is no value. */
export function errorOf(outcome: TaskOutcome<unknown>): unknown {
  if (outcome.status === 'fulfilled') return undefined;
  return outcome.status === 'rejected' || outcome.status === 'timed-out' ? outcome.error : outcome.reason;
}

/** One error of several, which keeps each as the cause of an error that names it. */
export function namedErrors(what: string, failures: readonly NamedFailure[]): AggregateError {
  const named = failures.map(({ name, error }) => {
    const reason = error instanceof Error ? error.message : String(error);
    return new Error(`${typeof name === 'number' ? name : `'${name}'`}: ${reason}`, { cause: error });
  });
  const told = named.slice(0, mostTold).map(({ message }) => message);
  const more = named.length > mostTold ? `; and ${named.length - mostTold} more` : '';
  return new AggregateError(named, `${what}. ${told.join('; ')}${more}`);
}

/** The message of an error has no more of the errors inside. */
const mostTold = 5;
