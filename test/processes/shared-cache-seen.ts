import type { CacheLevel } from '@warmpath/core/cache';

/** What is kept under a key. */
export interface Source {
  readonly key: number;
  readonly readAt: number;
  /** By whom it was set by hand, if it was. */
  readonly setBy?: number;
}

export interface Got extends Source {
  /** Undefined where the call does not say. */
  readonly level: CacheLevel | undefined;
  readonly isStale: boolean;
}

interface Span {
  readonly from: number;
  readonly to: number;
}

export type ReadWay = 'peek' | 'get' | 'getMany' | 'resolve' | 'getOrSetMany';
export type ChangeWay = 'delete' | 'expire' | 'tags' | 'set';
export type StoreCallName = 'getMany' | 'acquire' | 'setMany' | 'invalidate';

/** What a process saw; `from` is before the call, `to` after it. */
export type Seen =
  | (Span & {
      readonly type: 'read';
      readonly way: ReadWay;
      readonly keys: readonly number[];
      readonly gots: readonly Got[];
      readonly error: string | undefined;
    })
  | (Span & {
      readonly type: 'change';
      readonly way: ChangeWay;
      readonly keys: readonly number[];
      /** As the store is told: ids of keys, or tags. */
      readonly names: readonly string[];
      readonly deferred: boolean;
      readonly error: string | undefined;
    })
  | (Span & { readonly type: 'computed'; readonly keys: readonly number[] })
  /** The store has answered, or failed; `names`: what it was told to forget or replace. */
  | (Span & {
      readonly type: 'store';
      readonly call: StoreCallName;
      readonly names: readonly string[];
      readonly error: string | undefined;
    })
  /** Somebody else was computing these keys, as the store has said. */
  | (Span & { readonly type: 'held'; readonly keys: readonly number[] })
  /** The cache has given up waiting for the store. */
  | (Span & { readonly type: 'given up'; readonly call: string })
  /** The process did not run, or did something else. */
  | (Span & { readonly type: 'stall' });
