/** What a command may touch of the process; a test passes its own. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  env: Record<string, string | undefined>;
  readStdin(): Promise<string>;
  /** Aborted when the user wants the command to end. */
  interrupted: AbortSignal;
}

/** Text from elsewhere on one line: labels may hold anything, and a terminal obeys control characters. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ');
}
