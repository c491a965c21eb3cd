import type { IncomingMessage } from 'node:http';
import type { WarmpathOptions } from '@warmpath/core';
import { checkOptions, type Duration, type Rules, rule } from '@warmpath/core/kernel';

/** What `WarmpathModule.forRoot()` takes: the options of the runtime, and those of the module. */
export interface WarmpathModuleOptions extends WarmpathOptions {
  /**
   * Stop the start of the app for decorators in a wrong order and for decorated providers that cannot get the runtime,
   * instead of warning. Default false.
   */
  readonly strict?: boolean;
  /**
   * Whose request it is, read before guards run and not asynchronous. Tenants keep caches and limits apart, so it must come
   * from something authenticated: what earlier middleware has put on the request, or a header that a proxy of yours sets
   * and clients cannot. Default: nobody's.
   */
  readonly tenant?: (request: IncomingMessage) => string | undefined;
  /** How long a request may take; what waits on its behalf gives up then. Default: as long as it likes. */
  readonly timeout?: Duration;
}

type OwnOptions = Pick<WarmpathModuleOptions, 'strict' | 'tenant' | 'timeout'>;

const rules: Rules<OwnOptions> = { strict: rule.boolean, tenant: rule.function, timeout: rule.positiveDuration };

/** Parts the module's own options from those of the runtime, which checks the latter itself. */
export function splitOptions(options: WarmpathModuleOptions = {}): {
  readonly own: OwnOptions;
  readonly runtime: WarmpathOptions;
} {
  const { strict, tenant, timeout, ...runtime } = options;
  const own = { strict, tenant, timeout };
  checkOptions<OwnOptions>('WarmpathModule', own, rules);
  return { own, runtime };
}
