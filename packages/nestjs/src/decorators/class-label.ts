import { Logger } from '@nestjs/common';
import type { Warmpath } from '@warmpath/core';
import { getOrMake } from './get-or-make.js';

const labels = new WeakMap<Warmpath, Map<string, object[]>>();
const logger = new Logger('Warmpath');

/**
 * The name of a class within one runtime. Two classes of one name get two labels, or they would share caches; which one is
 * first follows the order of the modules, so a store shared by several processes wants an explicit `name` there.
 */
export function classLabel(runtime: Warmpath, owner: object): string {
  const name = (owner as { name?: unknown }).name;
  const given = typeof name === 'string' && name !== '' ? name : 'anonymous';
  const known = getOrMake(labels, runtime, () => new Map<string, object[]>());
  const classes = getOrMake(known, given, () => []);
  let position = classes.indexOf(owner);
  if (position < 0) {
    position = classes.push(owner) - 1;
    if (position > 0) {
      logger.warn(
        `${classes.length} decorated classes are called ${given}. The later one is '${given}~${position + 1}' in the names ` +
          'of caches and limiters; give its decorators a `name` if a store is shared between processes.',
      );
    }
  }
  return position === 0 ? given : `${given}~${position + 1}`;
}
