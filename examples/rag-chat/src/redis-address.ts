/** What is wrong with the address of a Redis; undefined: nothing. It may hold a password, so it is never repeated. */
export function faultOf(address: string): string | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*:\/\/)/i.exec(address)?.[1]?.toLowerCase();
  if (scheme !== 'redis://' && scheme !== 'rediss://')
    return scheme === undefined ? 'It begins with neither.' : `It begins with '${scheme}'.`;
  const url = URL.parse(address);
  if (!url?.hostname) return 'It has no host, or a port that cannot be.';
  if (!/^\/?\d*$/.test(url.pathname)) return 'What comes after its host is not the number of a database.';
  return [url.username, url.password].every(isDecodable)
    ? undefined
    : 'Its user name or password has a % that is not written as %25.';
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** An address as it may stand in a log. */
export function withoutSecrets(address: string): string {
  const { protocol, host, pathname } = new URL(address);
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}
