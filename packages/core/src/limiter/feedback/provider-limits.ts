/** What an answer says about the quota of its provider. Nothing in it is negative, infinite or NaN. */
export interface ProviderLimits {
  /** How long the provider asks to be left alone, from Retry-After. */
  readonly retryAfterMs?: number;
  readonly dimensions: readonly ProviderDimension[];
}

export interface ProviderDimension {
  /** `requests`, `tokens`, `inputTokens`, `outputTokens`, `concurrency`, or what the provider calls it, in camel case. */
  readonly unit: string;
  /** Where the header says so. */
  readonly windowMs?: number;
  readonly limit?: number;
  readonly remaining?: number;
  /** Until there is more of it or, where it refills, all of it. */
  readonly resetMs?: number;
  /** It comes back evenly, so that part of it is there before the reset. */
  readonly isRefilling?: boolean;
}

/** Field values by lower-case name. */
export type Fields = ReadonlyMap<string, string>;

const units: Readonly<Record<string, string>> = {
  request: 'requests',
  requests: 'requests',
  req: 'requests',
  'concurrent-requests': 'concurrency',
  token: 'tokens',
  tokens: 'tokens',
  'input-tokens': 'inputTokens',
  'prompt-tokens': 'inputTokens',
  'tokens-input': 'inputTokens',
  'tokens-prompt': 'inputTokens',
  'output-tokens': 'outputTokens',
  'completion-tokens': 'outputTokens',
  'generated-tokens': 'outputTokens',
  'tokens-output': 'outputTokens',
  'tokens-generated': 'outputTokens',
};

/** What providers call one of our units, or undefined. */
export function knownUnit(name: string): string | undefined {
  return Object.hasOwn(units, name) ? units[name] : undefined;
}

/** `audio-seconds` is `audioSeconds`. */
export function camelCased(name: string): string {
  return name.replace(/-+(\w?)/g, (_, letter: string) => letter.toUpperCase());
}

/** Only what is known: no property is undefined. */
export function dimensionOf(
  unit: string,
  known: { readonly [Name in Exclude<keyof ProviderDimension, 'unit' | 'isRefilling'>]: number | undefined },
): ProviderDimension {
  const entries = Object.entries(known).filter(([, value]) => value !== undefined);
  return { unit, ...Object.fromEntries(entries) };
}
