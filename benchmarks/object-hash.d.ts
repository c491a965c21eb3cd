declare module 'object-hash' {
  export default function objectHash(
    value: object,
    options?: { readonly algorithm?: string; readonly encoding?: 'hex' | 'base64' },
  ): string;
}
