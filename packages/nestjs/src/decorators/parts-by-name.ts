import type { Warmpath } from '@warmpath/core';
import { getOrMake } from './get-or-make.js';

/**
 * The caches, limiters or batchers of one decorator in each runtime. A decorator with a `name` of its own is asked once
 * for each class that inherits its method, and all of those share one part.
 */
export class PartsByName<Part extends object> {
  readonly #parts = new WeakMap<Warmpath, Map<string, Part>>();

  get(runtime: Warmpath, name: string, make: (name: string) => Part): Part {
    const named = getOrMake(this.#parts, runtime, () => new Map<string, Part>());
    return getOrMake(named, name, () => make(name));
  }
}
