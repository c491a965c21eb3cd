import {
  ambientRules,
  badOption,
  checkOptions,
  type Random,
  type Rules,
  rule,
  safeListener,
  systemRandom,
  WarmpathError,
} from '../kernel/index.js';

export interface Backend<Request> {
  readonly name: string;
  /** Its share of the choices relative to the others; 0 means only when all others cannot. Default 1. */
  readonly weight?: number;
  /** Whether it can take a request at all. Default: it can. */
  readonly when?: (request: Request) => boolean;
}

/** A fast path: requests of this kind go to this backend first, without a draw. The first rule that applies counts. */
export interface SelectorRule<Request> {
  readonly name: string;
  readonly when: (request: Request) => boolean;
  readonly use: string;
}

export interface SelectorOptions<Request> {
  readonly name?: string;
  readonly backends: readonly Backend<Request>[];
  readonly rules?: readonly SelectorRule<Request>[];
  readonly random?: Random;
  readonly onEvent?: (event: SelectorEvent) => void;
}

export interface SelectorEvent {
  readonly type: 'selector.ranked';
  readonly selector: string;
  readonly ranking: readonly string[];
  /** The rule that put the first one there, or `'weights'`. */
  readonly because: string;
}

export interface Ranking {
  /** Every backend that can take the request, the one to try first in front. Empty when none can. */
  readonly backends: readonly string[];
  readonly because: string;
}

export interface Selector<Request> {
  /** The order in which to try the backends for a request. O(n²) in the backends, which are few. */
  rank(request: Request): Ranking;
}

const optionRules: Rules<SelectorOptions<never>> = {
  name: rule.text,
  backends: rule.required(rule.arrayOf(rule.object, 1)),
  rules: rule.arrayOf(rule.object),
  random: ambientRules.random,
  onEvent: ambientRules.onEvent,
};
const backendRules: Rules<Backend<never>> = {
  name: rule.required(rule.text),
  weight: rule.number(0),
  when: rule.function,
};
const ruleRules: Rules<SelectorRule<never>> = {
  name: rule.required(rule.text),
  when: rule.required(rule.function),
  use: rule.required(rule.text),
};

/** Chooses by rules, then by weight; the same seed gives the same choices. @throws WarmpathError `WP_BAD_OPTION` */
export function createSelector<Request>(options: SelectorOptions<Request>): Selector<Request> {
  const where = 'createSelector()';
  checkOptions(where, options, optionRules as Rules<SelectorOptions<Request>>);
  const { name = 'selector', backends, rules = [], random = systemRandom, onEvent } = options;
  for (const backend of backends) checkOptions(`${where} backend`, backend, backendRules as Rules<Backend<Request>>);
  for (const path of rules) checkOptions(`${where} rule`, path, ruleRules as Rules<SelectorRule<Request>>);
  const names = backends.map((backend) => backend.name);
  const twice = names.find((backend, index) => names.indexOf(backend) !== index);
  if (twice !== undefined) throw badOption(where, 'backends', 'a list of backends with different names', twice);
  const stray = rules.find(({ use }) => !names.includes(use));
  if (stray) throw badOption(where, 'rules', `a list whose 'use' is one of ${names.join(', ')}`, stray.use);

  const report = safeListener(onEvent);

  function rank(request: Request): Ranking {
    const feasible = backends.filter(({ when }) => when === undefined || when(request));
    const fast = rules.find(({ use, when }) => feasible.some((backend) => backend.name === use) && when(request));
    const drawn = drawInOrder(
      feasible.filter((backend) => backend.name !== fast?.use),
      random,
    );
    const ranking = fast ? [fast.use, ...drawn] : drawn;
    const because = fast?.name ?? 'weights';
    report?.({ type: 'selector.ranked', selector: name, ranking, because });
    return { backends: ranking, because };
  }

  return { rank };
}

/** A weighted shuffle: the first is drawn by weight among all, the next among the rest, and so on; weight 0 goes last. */
function drawInOrder(backends: readonly Backend<never>[], random: Random): string[] {
  const left = backends.map(({ name, weight = 1 }) => ({ name, weight }));
  const drawn: string[] = [];
  while (left.length > 0) {
    const total = left.reduce((sum, { weight }) => sum + weight, 0);
    let point = random() * total;
    const found = left.findIndex(({ weight }) => {
      point -= weight;
      return point < 0;
    });
    // Sums of doubles may leave a rest behind the last share: it belongs to the last that has one.
    const last = Math.max(
      0,
      left.findLastIndex(({ weight }) => weight > 0),
    );
    const [chosen] = left.splice(found === -1 ? (total > 0 ? last : 0) : found, 1);
    if (chosen) drawn.push(chosen.name);
  }
  return drawn;
}

/** For whoever runs a ranking: no backend can take this request. */
export function noBackend(selector: string, backends: readonly string[]): WarmpathError {
  return new WarmpathError('WP_NO_BACKEND', `'${selector}': none of ${backends.join(', ')} can take this request.`, {
    details: { selector, backends },
  });
}
