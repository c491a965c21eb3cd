/** A connection of `@redis/client` to one server, as far as we use it. */
export interface NodeClient {
  readonly isOpen: boolean;
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(args: readonly (string | Buffer)[], options?: NodeCommandOptions): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
}

export interface NodeCommandOptions {
  readonly abortSignal?: AbortSignal;
  readonly typeMapping?: Readonly<Record<number, typeof Buffer>>;
}

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Makes a client that is not connected yet.
 * @param at where to, if that is not settled
 * @param signal ends its socket, in whichever state that is
 */
export type OpenClient = (at: NodeAddress | undefined, signal: AbortSignal) => Promise<NodeClient>;

/**
 * What every connection of ours has in common, whatever else its owner wants: it is given up when it is lost, since a client
 * that connects again by itself would send what was left over, to a server that may be another one.
 */
export function oursOver<Socket extends object>(
  socket: Socket | undefined,
  at: NodeAddress | undefined,
  signal: AbortSignal,
): {
  readonly socket: Socket & { readonly reconnectStrategy: false; readonly signal: AbortSignal };
  readonly disableOfflineQueue: true;
  readonly readonly: false;
  readonly commandOptions: undefined;
  readonly clientSideCache: undefined;
  readonly emitInvalidate: false;
} {
  const theirs = { ...socket, ...at } as Socket;
  return {
    socket: { ...theirs, reconnectStrategy: false, signal },
    disableOfflineQueue: true,
    readonly: false,
    commandOptions: undefined,
    clientSideCache: undefined,
    emitInvalidate: false,
  };
}
