export type BulkheadEvent =
  | {
      readonly type: 'bulkhead.rejected';
      readonly name: string;
      /** `full`: no more may wait. `late`: no place has become free in time. */
      readonly reason: 'full' | 'late';
      readonly running: number;
      readonly waiting: number;
      readonly limit: number;
    }
  | {
      /** An adaptive limit has changed by a place or more. */
      readonly type: 'bulkhead.resized';
      readonly name: string;
      readonly from: number;
      readonly to: number;
    };
