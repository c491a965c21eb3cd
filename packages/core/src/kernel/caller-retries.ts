const longest = 100;

/**
 * How often the caller has tried before by itself, as the SDKs of OpenAI, Anthropic and others made like them say with each request
 * (`x-stainless-retry-count`): a whole number up to 100, or undefined for anything else.
 */
export function callerRetriesFrom(header: string | readonly string[] | undefined): number | undefined {
  if (typeof header !== 'string' || !/^\d{1,3}$/.test(header)) return undefined;
  const count = Number(header);
  return count <= longest ? count : undefined;
}
