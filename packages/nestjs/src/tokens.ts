import { Inject } from '@nestjs/common';
import type { Warmpath } from '@warmpath/core';

/** The runtime of the app. Tests override it: `.overrideProvider(WARMPATH).useValue(createWarmpath({ clock }))`. */
export const WARMPATH: unique symbol = Symbol.for('@warmpath/nestjs/runtime');

/** The runtime as a class, for constructors that inject by type: `constructor(private readonly warmpath: WarmpathRuntime)`. */
export abstract class WarmpathRuntime implements Warmpath {
  abstract readonly clock: Warmpath['clock'];
  abstract readonly random: Warmpath['random'];
  abstract readonly chat: Warmpath['chat'];
  abstract cache: Warmpath['cache'];
  abstract limiter: Warmpath['limiter'];
  abstract batcher: Warmpath['batcher'];
  abstract embedder: Warmpath['embedder'];
  abstract executor: Warmpath['executor'];
  abstract pipeline: Warmpath['pipeline'];
  abstract retry: Warmpath['retry'];
  abstract timeout: Warmpath['timeout'];
  abstract fallback: Warmpath['fallback'];
  abstract hedge: Warmpath['hedge'];
  abstract breaker: Warmpath['breaker'];
  abstract bulkhead: Warmpath['bulkhead'];
  abstract http: Warmpath['http'];
  abstract snapshot: Warmpath['snapshot'];
  abstract report: Warmpath['report'];
  abstract close: Warmpath['close'];
}

/** Injects the runtime into a constructor parameter or a property. */
export function InjectWarmpath(): PropertyDecorator & ParameterDecorator {
  return Inject(WARMPATH);
}
