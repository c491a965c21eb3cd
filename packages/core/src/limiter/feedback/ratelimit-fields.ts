import { boundedMs } from './header-values.js';
import { camelCased, dimensionOf, type Fields, knownUnit, type ProviderDimension } from './provider-limits.js';
import { type BareItem, type Item, parseDictionary, parseList } from './structured-field.js';

interface Policy {
  /** Quotas of drafts before 8 have none. */
  readonly name: string | undefined;
  readonly unit: string;
  readonly limit: number;
  readonly windowMs: number | undefined;
}

/**
 * `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-08 and later, lists of Strings, and of draft 7, a
 * Dictionary with a list of Integers. Partition keys are passed over: an answer is about the partition of its caller.
 */
export function readRateLimitFields(fields: Fields): ProviderDimension[] {
  const policies = readPolicies(fields.get('ratelimit-policy') ?? '');
  const current = fields.get('ratelimit') ?? '';
  const found = readCurrent(current, policies) ?? readDraft7(current, policies) ?? [];
  const told = new Set(found.map(({ policy }) => policy));
  return [
    ...found.map(({ dimension }) => dimension),
    ...policies.filter((policy) => policy.name !== undefined && !told.has(policy)).map(alone),
  ];
}

/** Integers with a window, as older drafts have them, say nothing by themselves: they go with a limit of the same number. */
export function windowOfLimit(limit: number, items: readonly Item[]): number | undefined {
  for (const { item, parameters } of items) {
    const window = windowMsOf(parameters.get('w') ?? parameters.get('window'));
    if (item.kind === 'number' && item.value === limit && window !== undefined) return window;
  }
  return undefined;
}

interface Found {
  readonly policy: Policy | undefined;
  readonly dimension: ProviderDimension;
}

function readPolicies(text: string): Policy[] {
  return (parseList(text) ?? []).flatMap(({ item, parameters }): Policy[] => {
    const windowMs = windowMsOf(parameters.get('w'));
    if (item.kind === 'number') {
      return item.value >= 0 ? [{ name: undefined, unit: 'requests', limit: item.value, windowMs }] : [];
    }
    const limit = amountOf(parameters.get('q'));
    if (item.kind !== 'string' || limit === undefined) return [];
    return [{ name: item.value, unit: unitOf(parameters.get('qu')), limit, windowMs }];
  });
}

function readCurrent(text: string, policies: readonly Policy[]): Found[] | undefined {
  const items = parseList(text);
  if (!items?.some(({ item }) => item.kind === 'string')) return undefined;
  return items.flatMap(({ item, parameters }): Found[] => {
    const remaining = amountOf(parameters.get('r'));
    if (item.kind !== 'string' || remaining === undefined) return [];
    const policy = policies.find(({ name }) => name === item.value);
    const resetSeconds = amountOf(parameters.get('t'));
    const resetMs = resetSeconds === undefined ? undefined : boundedMs(resetSeconds * 1_000);
    const { limit, windowMs } = policy ?? { limit: undefined, windowMs: undefined };
    return [{ policy, dimension: dimensionOf(policy?.unit ?? 'requests', { windowMs, limit, remaining, resetMs }) }];
  });
}

/** `limit=100, remaining=50, reset=5`, with the window in a policy of the same limit. */
function readDraft7(text: string, policies: readonly Policy[]): Found[] | undefined {
  const members = parseDictionary(text);
  const remaining = amountOf(members?.get('remaining')?.item);
  if (remaining === undefined) return undefined;
  const limit = amountOf(members?.get('limit')?.item);
  const resetSeconds = amountOf(members?.get('reset')?.item);
  const resetMs = resetSeconds === undefined ? undefined : boundedMs(resetSeconds * 1_000);
  const policy = policies.find((each) => each.limit === limit);
  const dimension = dimensionOf('requests', { windowMs: policy?.windowMs, limit, remaining, resetMs });
  return [{ policy, dimension }];
}

function alone({ unit, limit, windowMs }: Policy): ProviderDimension {
  return dimensionOf(unit, { windowMs, limit, remaining: undefined, resetMs: undefined });
}

/** Units of a vendor have its name before them, such as `warmpath-tokens`. */
function unitOf(item: BareItem | undefined): string {
  if (item?.kind !== 'string') return 'requests';
  const name = item.value.toLowerCase();
  return knownUnit(name) ?? knownUnit(name.slice(name.indexOf('-') + 1)) ?? camelCased(name);
}

function amountOf(item: BareItem | undefined): number | undefined {
  return item?.kind === 'number' && item.value >= 0 ? item.value : undefined;
}

function windowMsOf(item: BareItem | undefined): number | undefined {
  const seconds = amountOf(item);
  return seconds === undefined || seconds === 0 ? undefined : boundedMs(seconds * 1_000);
}
