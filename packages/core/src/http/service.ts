import { badOption } from '../kernel/index.js';
import type { HttpHeaders, HttpQuery } from './contract.js';
import type { PoolSettings } from './options.js';

/** Where a request goes: an origin, and a path with its query. */
export interface Target {
  readonly origin: string;
  readonly path: string;
}

/** By lower-case name. */
export type HeaderRecord = Readonly<Record<string, string>>;

/** Paths that need no normalising: without dots, escapes, fragments and what an address may not hold. */
const plainPath = /^[\w\-~/?=&+,:@]*$/;
const absolute = /^[a-z][a-z\d+.-]*:/i;
/** RFC 9110 section 5.5, and section 5.1 for names. */
const headerValue = /^[\t\x20-\x7e\x80-\xff]*$/;
const headerName = /^[!#$%&'*+.^_`|~\w-]+$/;

/** The address and the headers of a service. */
export class Service {
  readonly #where: string;
  readonly #origin: string | undefined;
  /** Of the base address, without a slash at its end. */
  readonly #basePath: string;
  readonly #authorization: string | undefined;
  readonly #headers: HeaderRecord | (() => HttpHeaders | PromiseLike<HttpHeaders>);

  constructor({ name, baseUrl, headers }: PoolSettings) {
    this.#where = `the HTTP pool '${name}'`;
    this.#origin = baseUrl?.origin;
    this.#basePath = baseUrl?.pathname.replace(/\/+$/, '') ?? '';
    this.#authorization = baseUrl && basicAuthorization(baseUrl);
    this.#headers = typeof headers === 'function' ? headers : this.#checked(headers ?? {});
  }

  owns(origin: string): boolean {
    return origin === this.#origin;
  }

  /** What every request to the service has; a promise only where its function gives one. */
  headers(): HeaderRecord | Promise<HeaderRecord> {
    if (typeof this.#headers !== 'function') return this.#headers;
    const given = this.#headers();
    return isPromiseLike(given) ? Promise.resolve(given).then((late) => this.#checked(late)) : this.#checked(given);
  }

  /** @throws WarmpathError `WP_BAD_OPTION`, which does not print the address: it may hold secrets */
  target(to: string | URL, query?: HttpQuery): Target {
    const target = typeof to === 'string' && !absolute.test(to) ? this.#underBase(to) : this.#anywhere(to);
    const more = query === undefined ? '' : searchOf(query);
    if (more === '') return target;
    return { origin: target.origin, path: `${target.path}${target.path.includes('?') ? '&' : '?'}${more}` };
  }

  #underBase(to: string): Target {
    const origin = this.#origin;
    if (origin === undefined) {
      throw badOption(this.#where, 'path', "an http:// or https:// address, as there is no 'baseUrl'", to, true);
    }
    const separator = to === '' || to.startsWith('/') || to.startsWith('?') ? '' : '/';
    const path = `${this.#basePath}${separator}${to}`;
    if (plainPath.test(to)) return { origin, path: path.startsWith('/') ? path : `/${path}` };
    const url = URL.parse(`${origin}${path}`);
    const isInside = url?.origin === origin && `${url.pathname}/`.startsWith(`${this.#basePath}/`);
    if (!url || !isInside) throw badOption(this.#where, 'path', "one below the 'baseUrl'", to, true);
    return { origin, path: url.pathname + url.search };
  }

  #anywhere(to: string | URL): Target {
    const url = URL.parse(String(to));
    if (!url || !(url.protocol === 'http:' || url.protocol === 'https:')) {
      throw badOption(this.#where, 'path', 'a path, or an http:// or https:// address', to, true);
    }
    if (url.username || url.password) throw badOption(this.#where, 'path', 'without user and password', to, true);
    return { origin: url.origin, path: url.pathname + url.search };
  }

  #checked(given: HttpHeaders): HeaderRecord {
    const headers = checkedHeaders(this.#where, given);
    if (this.#authorization === undefined || headers.authorization !== undefined) return headers;
    return { ...headers, authorization: this.#authorization };
  }
}

/** @throws WarmpathError `WP_BAD_OPTION` that names the header and never prints its value */
export function checkedHeaders(where: string, given: HttpHeaders): HeaderRecord {
  const rule = 'an object of header names and texts (of a Headers, Object.fromEntries(headers))';
  if (typeof given !== 'object' || given === null || Symbol.iterator in given)
    throw badOption(where, 'headers', rule, given, true);
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue; // JavaScript's callers leave one out so
    if (!headerName.test(name)) throw badOption(where, 'headers', rule, given, true);
    if (typeof value !== 'string' || !headerValue.test(value)) {
      throw badOption(where, `headers.${name.toLowerCase()}`, 'a text that a header may have', value, true);
    }
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

function isPromiseLike(given: HttpHeaders | PromiseLike<HttpHeaders>): given is PromiseLike<HttpHeaders> {
  return typeof given?.then === 'function';
}

function basicAuthorization({ username, password }: URL): string | undefined {
  if (!username && !password) return undefined;
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

function searchOf(query: HttpQuery): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, String(each));
  }
  return search.toString();
}
