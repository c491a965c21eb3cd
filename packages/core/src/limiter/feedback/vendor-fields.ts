import { countOf, durationOf, resetMsOf } from './header-values.js';
import { camelCased, dimensionOf, type Fields, knownUnit, type ProviderDimension } from './provider-limits.js';
import { windowOfLimit } from './ratelimit-fields.js';
import { parseList } from './structured-field.js';

/**
 * The families that name one number a field: `ratelimit-*` (IETF drafts before 7), `x-ratelimit-*` (GitHub, OpenAI, Azure, Groq,
 * Cerebras, Envoy, OpenRouter and others), `x-rate-limit-*` (X), `x-ratelimitbysize-*` (Mistral, in tokens) and
 * `anthropic-ratelimit-*`. After the prefix come `limit`, `remaining` or `reset`, a unit and a period, in the order that the
 * vendor likes.
 */
const prefix = /^(?:x-|anthropic-)?rate-?limit(bysize)?-/;

const periodMs: Readonly<Record<string, number>> = {
  second: 1_000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
  week: 7 * 86_400_000,
  month: 30 * 86_400_000,
};

type Aspect = 'limit' | 'remaining' | 'reset';

interface Place {
  readonly aspect: Aspect;
  readonly unit: string;
  /** Of the vendor's own making, so that what looks like a unit may be something else: `x-ratelimit-reset-after`. */
  readonly isUnknown: boolean;
  readonly windowMs: number | undefined;
}

interface Group extends Omit<Place, 'aspect'> {
  readonly family: string;
  readonly texts: Map<Aspect, string>;
}

export function readVendorFields(fields: Fields, wallMs: number): ProviderDimension[] {
  const groups = new Map<string, Group>();
  for (const [name, text] of fields) {
    const place = placeOf(name);
    if (!place) continue;
    const family = prefix.exec(name)?.[0] ?? '';
    const key = `${family} ${place.unit} ${place.windowMs}`;
    const group = groups.get(key) ?? { ...place, family, texts: new Map<Aspect, string>() };
    group.texts.set(place.aspect, text);
    groups.set(key, group);
  }
  return [...groups.values()].flatMap((group) => read(group, fields, wallMs));
}

/** What a field is about, by its name alone. */
function placeOf(name: string): Place | undefined {
  const found = prefix.exec(name);
  if (!found) return undefined;
  const words = name.slice(found[0].length).split('-');
  const aspect = aspectOf(words[0]) ?? aspectOf(words.at(-1));
  if (!aspect) return undefined;
  const rest = aspectOf(words[0]) ? words.slice(1) : words.slice(0, -1);
  const last = rest.at(-1) ?? '';
  const windowMs = Object.hasOwn(periodMs, last) ? periodMs[last] : undefined;
  const named = (windowMs === undefined ? rest : rest.slice(0, -1)).join('-');
  if (named === '') return { aspect, unit: found[1] ? 'tokens' : 'requests', isUnknown: false, windowMs };
  const unit = knownUnit(named);
  return { aspect, unit: unit ?? camelCased(named), isUnknown: unit === undefined, windowMs };
}

function aspectOf(word: string | undefined): Aspect | undefined {
  return word === 'limit' || word === 'remaining' || word === 'reset' ? word : undefined;
}

function read(group: Group, fields: Fields, wallMs: number): ProviderDimension[] {
  const { unit, isUnknown, windowMs, texts } = group;
  const [limit, windowOfThat] = limitOf(texts.get('limit'), fields.get('ratelimit-policy'));
  const remaining = countOf(texts.get('remaining'));
  const resetMs = resetMsOf(texts.get('reset'), wallMs);
  const isSaid = limit !== undefined || remaining !== undefined || (resetMs !== undefined && !isUnknown);
  if (!isSaid) return [];
  const dimension = dimensionOf(unit, { windowMs: windowMs ?? windowOfThat, limit, remaining, resetMs });
  return [isRefilling(group) ? { ...dimension, isRefilling: true } : dimension];
}

/** Anthropic's resets, and those that OpenAI and who follows it write as durations, tell when a token bucket is full again. */
function isRefilling({ family, texts }: Group): boolean {
  const reset = texts.get('reset');
  return reset !== undefined && (family.startsWith('anthropic-') || durationOf(reset.trim()) !== undefined);
}

/** `100`, or `100, 100;w=60, 1000;w=3600`, where the first number is the limit that counts now and one of the others its window. */
function limitOf(
  text: string | undefined,
  policy: string | undefined,
): [limit: number | undefined, windowMs: number | undefined] {
  const limit = countOf(text);
  if (limit !== undefined) return [limit, windowOfLimit(limit, parseList(policy ?? '') ?? [])];
  const items = parseList(text ?? '') ?? [];
  const first = items[0]?.item;
  if (first?.kind !== 'number' || first.value < 0) return [undefined, undefined];
  return [first.value, windowOfLimit(first.value, items)];
}
