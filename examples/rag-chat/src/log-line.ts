const longestLine = 500;

/**
 * A text that may hold what strangers have sent, as one line of the log: bounded, and with its line breaks and other
 * control characters written out, so that nobody can add a line of their own or colour the terminal.
 */
export function logLine(text: string): string {
  const start = text.length > longestLine ? `${text.slice(0, longestLine)} …` : text;
  return start.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}
