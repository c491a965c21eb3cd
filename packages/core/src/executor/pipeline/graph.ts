import { badOption, checkOptions, type Duration, durationMs, type Rules, rule } from '../../kernel/index.js';
import type { StepCall, StepQuestion } from './contract.js';

type Results = Readonly<Record<string, unknown>>;

/** A step as it is defined, its types forgotten. */
export interface StepDefinition {
  readonly after?: readonly string[];
  readonly timeout?: Duration;
  readonly optional?: boolean;
  readonly when?: (question: StepQuestion<unknown, Results>) => boolean;
  readonly run: (call: StepCall<unknown, Results>) => unknown;
}

/** A step as it is run. */
export interface Step {
  readonly name: string;
  /** Where the steps that it needs stand in the list of all. */
  readonly after: readonly number[];
  readonly timeoutMs: number;
  readonly optional: boolean;
  readonly when: StepDefinition['when'];
  readonly run: StepDefinition['run'];
}

const rules: Rules<StepDefinition> = {
  after: rule.arrayOf(rule.text),
  timeout: rule.positiveDuration,
  optional: rule.boolean,
  when: rule.function,
  run: rule.required(rule.function),
};

/**
 * The steps with one more. Each stands behind all that it needs, so a list of steps has no cycles.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function withStep(
  pipeline: string,
  steps: readonly Step[],
  name: string,
  definition: StepDefinition,
): readonly Step[] {
  const where = `pipeline '${pipeline}'`;
  if (!rule.text.allows(name)) throw badOption(where, 'step', rule.text.text, name);
  if (steps.some((step) => step.name === name)) throw badOption(where, 'step', 'a name that no earlier step has', name);
  const here = `${where}, step '${name}'`;
  if (!rule.object.allows(definition)) throw badOption(here, 'step', rule.object.text, definition);
  checkOptions(here, definition, rules);
  const { after: needs = [], timeout, optional = false, when, run } = definition;
  if (new Set(needs).size < needs.length) throw badOption(here, 'after', 'names of earlier steps, each once', needs);
  const after = needs.map((needed) => {
    const index = steps.findIndex((step) => step.name === needed);
    if (index >= 0) return index;
    const names = steps.map((step) => `'${step.name}'`).join(', ') || 'there are none';
    throw badOption(here, 'after', `names of earlier steps (${names})`, needed);
  });
  const timeoutMs = timeout === undefined ? Number.POSITIVE_INFINITY : durationMs(timeout);
  return [...steps, { name, after, timeoutMs, optional, when, run }];
}
