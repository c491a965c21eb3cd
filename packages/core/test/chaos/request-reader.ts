/** A request as it came over the wire. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Read {
  readonly request: WireRequest;
  /** What came after it. */
  readonly rest: Buffer;
}

/** @returns undefined when the client leaves before its request is whole */
export async function readRequest(begun: Buffer, more: AsyncIterator<Buffer>): Promise<Read | undefined> {
  const wire = new Wire(begun, more);
  const head = await wire.until('\r\n\r\n');
  if (head === undefined) return undefined;
  const [first = '', ...lines] = head.split('\r\n');
  const [method = '', path = ''] = first.split(' ');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const isChunked = headers['transfer-encoding'] === 'chunked';
  const body = isChunked ? await wire.chunks() : await wire.take(Number(headers['content-length'] ?? 0));
  return body === undefined ? undefined : { request: { method, path, headers, body }, rest: wire.rest };
}

class Wire {
  rest: Buffer;
  readonly #more: AsyncIterator<Buffer>;

  constructor(begun: Buffer, more: AsyncIterator<Buffer>) {
    this.rest = begun;
    this.#more = more;
  }

  /** Text up to `mark`, which is taken as well. */
  async until(mark: string): Promise<string | undefined> {
    for (;;) {
      const at = this.rest.indexOf(mark);
      if (at >= 0) {
        const text = this.rest.toString('latin1', 0, at);
        this.rest = this.rest.subarray(at + mark.length);
        return text;
      }
      if (!(await this.#grow())) return undefined;
    }
  }

  async take(length: number): Promise<string | undefined> {
    while (this.rest.length < length) if (!(await this.#grow())) return undefined;
    const text = this.rest.toString('latin1', 0, length);
    this.rest = this.rest.subarray(length);
    return text;
  }

  /** RFC 9112, section 7.1, without trailers. */
  async chunks(): Promise<string | undefined> {
    let body = '';
    for (;;) {
      const size = await this.until('\r\n');
      if (size === undefined) return undefined;
      const length = Number.parseInt(size, 16);
      const chunk = await this.take(length + 2);
      if (chunk === undefined) return undefined;
      if (length === 0) return body;
      body += chunk.slice(0, -2);
    }
  }

  async #grow(): Promise<boolean> {
    const { done, value } = await this.#more.next();
    if (done) return false;
    this.rest = this.rest.length === 0 ? value : Buffer.concat([this.rest, value]);
    return true;
  }
}
