import { badOption, compactKey, currentContext, digestText, WarmpathError } from '../kernel/index.js';
import type { TenantCall } from './contract.js';
import type { ResolvedCacheOptions } from './options.js';

/** Where an entry is: whose it is, and the text of its key. */
export interface Place {
  readonly tenant: string | undefined;
  readonly text: string;
  /** What stores and events see of both. Computed when it is first read. */
  readonly id: string;
}

/** What a text that is not the key itself begins with; a key that is text and begins like that is treated as data. */
const data = '\u0001';
const stream = '\u0002';
const lastMark = 2;

/** A key longer than this is kept as its digest: memory is worth more than the microseconds that it takes. */
const longestText = 1_024;

/**
 * One text for each key. Text itself is its own key, which costs nothing; other data has its canonical form.
 * @throws WarmpathError `WP_BAD_KEY`
 */
export function textOf(key: unknown): string {
  if (typeof key === 'string' && key.charCodeAt(0) > lastMark && key.length <= longestText) return key;
  return data + compactKey(key, longestText);
}

export function streamTextOf(key: unknown): string {
  return stream + textOf(key);
}

/** A place as one text, for maps that hold those of all tenants. */
export function placeText(tenant: string | undefined, text: string): string {
  return tenant === undefined ? text : `\0${tenant.length}:${tenant}${text}`;
}

export function placeOf(tenant: string | undefined, text: string): Place {
  return new LazyPlace(tenant, text);
}

class LazyPlace implements Place {
  readonly tenant: string | undefined;
  readonly text: string;
  #id: string | undefined;

  constructor(tenant: string | undefined, text: string) {
    this.tenant = tenant;
    this.text = text;
  }

  get id(): string {
    this.#id ??= digestText(this.tenant, this.text);
    return this.#id;
  }
}

/** @throws WarmpathError `WP_TENANT_REQUIRED`, `WP_BAD_OPTION` */
export function tenantOf(options: ResolvedCacheOptions, call: TenantCall): string | undefined {
  if (options.scope === 'shared') return undefined;
  const tenant = call.tenant ?? currentContext()?.tenant;
  if (tenant === undefined || tenant === '') {
    if (options.scope === 'tenant') throw tenantRequired(options.name);
    return tenant;
  }
  if (typeof tenant !== 'string') throw badOption(`Cache '${options.name}'`, 'tenant', 'a string', tenant);
  return tenant;
}

function tenantRequired(cache: string): WarmpathError {
  return new WarmpathError(
    'WP_TENANT_REQUIRED',
    `Cache '${cache}' keeps tenants apart (scope: 'tenant') and was called without one. ` +
      "Pass { tenant } with the call, give the request's context a tenant, or choose scope: 'shared'.",
    { details: { cache } },
  );
}
