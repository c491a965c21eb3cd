declare module 'opossum' {
  export default class CircuitBreaker<Args extends readonly unknown[], Value> {
    constructor(
      action: (...args: Args) => Promise<Value>,
      options?: {
        readonly timeout?: number | false;
        readonly errorThresholdPercentage?: number;
        readonly volumeThreshold?: number;
        readonly resetTimeout?: number;
        readonly rollingCountTimeout?: number;
        readonly rollingPercentilesEnabled?: boolean;
        readonly enableSnapshots?: boolean;
      },
    );
    readonly stats: { readonly fires: number };
    fire(...args: Args): Promise<Value>;
    shutdown(): void;
  }
}
