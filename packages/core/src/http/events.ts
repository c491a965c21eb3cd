/** What became of a request that brought no response below 400. */
export type HttpErrorKind =
  | 'refused'
  | 'reset'
  | 'timeout'
  | 'tls'
  | 'dns'
  | 'aborted'
  | 'status4xx'
  | 'status5xx'
  | 'tooLarge'
  | 'other';

/**
 * How far a request came. `not-sent`: the service knows nothing of it; `sent`: it may have been carried out; `responding`: a part of
 * the response came.
 */
export type HttpPhase = 'not-sent' | 'sent' | 'responding';

/** What a pool reports. */
export type HttpEvent =
  | {
      readonly type: 'http.failed';
      readonly service: string;
      readonly kind: HttpErrorKind;
      readonly phase: HttpPhase;
      /** From the call to its end. */
      readonly ms: number;
    }
  | {
      /** A request goes out once more, free of charge: its socket was stale, or the server refused it unread. */
      readonly type: 'http.redialled';
      readonly service: string;
    };
