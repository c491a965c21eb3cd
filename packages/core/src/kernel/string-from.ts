import { WarmpathError } from './errors.js';

/**
 * What a function of the app has answered where a string decides whose something is: turned into one, every object would
 * be the same, and every promise another.
 * @throws WarmpathError `WP_BAD_OPTION` naming the kind of the value, never the value
 */
export function stringFrom(where: string, option: string, value: unknown, due = 'a string'): string {
  if (typeof value === 'string') return value;
  if (value instanceof Promise) value.catch(() => {}); // nobody waits for it, and the refusal says what is wrong
  const kind = kindOf(value);
  throw new WarmpathError(
    'WP_BAD_OPTION',
    `${where}: the function '${option}' must return ${due}, and returned ${kind}.`,
    { details: { where, option, kind } },
  );
}

/** The tenant that a function of the app names; an empty string, as of a header without a value, is nobody. */
export function tenantFrom(where: string, tenant: unknown): string | undefined {
  if (tenant === undefined) return undefined;
  return stringFrom(where, 'tenant', tenant, 'a string or undefined') || undefined;
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (value instanceof Promise) return 'a promise';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
