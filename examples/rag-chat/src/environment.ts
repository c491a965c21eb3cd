export type Environment = Readonly<Record<string, string | undefined>>;

/** An empty variable counts as one that is not set. */
export function set(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === '' ? undefined : value;
}
