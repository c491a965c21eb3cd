/**
 * What a connection knew of the invalidations of one namespace: the sequence of the last one, in the file of that epoch.
 * Nothing that covers a value may have been invalidated above it.
 */
export class SqliteFence {
  readonly epoch: string;
  readonly sequence: number;

  constructor(epoch: string, sequence: number) {
    this.epoch = epoch;
    this.sequence = sequence;
  }
}
