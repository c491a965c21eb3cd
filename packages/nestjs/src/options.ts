import type { IncomingMessage } from 'node:http';
import type { WarmpathOptions } from '@warmpath/core';
import { checkOptions, rule } from '@warmpath/core/kernel';

/** What `WarmpathModule.forRoot()` takes: the options of the runtime, and those of the module. */
export interface WarmpathModuleOptions extends WarmpathOptions {
  /**
   * Stop the start of the app for decorators in a wrong order and for decorated providers that cannot get the runtime,
   * instead of warning. Default false.
   */
  readonly strict?: boolean;
  /**
   * Whose request it is, read before guards run: from a header, a host name, or what earlier middleware has put on the
   * request. Default: nobody's.
   */
  readonly tenant?: (request: IncomingMessage) => string | undefined;
}

const rules = { strict: rule.boolean, tenant: rule.function };

/** Parts the module's own options from those of the runtime, which checks the latter itself. */
export function splitOptions(options: WarmpathModuleOptions = {}): {
  readonly own: Pick<WarmpathModuleOptions, 'strict' | 'tenant'>;
  readonly runtime: WarmpathOptions;
} {
  const { strict, tenant, ...runtime } = options;
  checkOptions<Pick<WarmpathModuleOptions, 'strict' | 'tenant'>>('WarmpathModule', { strict, tenant }, rules);
  return { own: { strict, tenant }, runtime };
}
