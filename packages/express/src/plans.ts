import type { Limit } from '@warmpath/core';
import { badOption, type Rule, rule, stringFrom } from '@warmpath/core/kernel';
import type { Request, Response } from 'express';

export interface PlanOptions {
  readonly plans: Readonly<Record<string, readonly Limit[]>> | undefined;
  readonly plan: ((req: Request, res: Response) => string) | undefined;
}

const limitsRule = rule.arrayOf(rule.object, 1);

export const plansRule: Rule = {
  text: "a list of limits for each plan, such as { free: [{ limit: 60, window: '1m' }] }",
  allows(value) {
    const lists = rule.object.allows(value) ? Object.values(value as object) : [];
    return lists.length > 0 && lists.every((list) => limitsRule.allows(list));
  },
};

/**
 * What was made of the limits of a request's plan; undefined where there are no plans.
 * @throws WarmpathError `WP_BAD_OPTION`, also for a request of a plan that does not exist: it must not pass uncounted
 */
export function choiceOfPlan<T>(
  where: string,
  { plans, plan }: PlanOptions,
  make: (plan: string, limits: readonly Limit[]) => T,
): ((req: Request, res: Response) => T) | undefined {
  if (!plans && !plan) return undefined;
  if (!plans) throw badOption(where, 'plans', "given beside 'plan'", plans);
  if (!plan) throw badOption(where, 'plan', "given beside 'plans': which of them is that of a request", plan);
  const made = new Map(Object.entries(plans).map(([name, limits]) => [name, make(name, limits)]));
  return function ofPlan(req, res) {
    const name = stringFrom(where, 'plan', plan(req, res));
    const its = made.get(name);
    if (its === undefined) throw badOption(where, 'plan', `one of ${Array.from(made.keys()).join(', ')}`, name);
    return its;
  };
}
