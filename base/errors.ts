/**
 * The three families of errors. Message: lower case, operation + object, no full stop; `cause` tells the rest.
 */
export interface WeirErrorOptions {
  cause?: unknown;
  /** One clause that says what to do instead; shown to the user after the message. */
  hint?: string;
  /** True when the same call may succeed later without anything being changed. */
  retryable?: boolean;
}

/** Base of everything weir throws on purpose. `code` is an UPPER_SNAKE name listed in docs/errors.md. */
export class WeirError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly retryable: boolean;

  constructor(code: string, message: string, options: WeirErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
    this.retryable = options.retryable ?? false;
  }
}

/** The user's mistake: a bad label, an overlapping pool, an unknown option. */
export class UserError extends WeirError {}

/** The host lacks something: no BPF, kernel too old, library missing. The hint says what to install or change. */
export class HostError extends WeirError {}

/** weir's own bug: an invariant that does not hold. */
export class BugError extends WeirError {
  constructor(message: string, options: WeirErrorOptions = {}) {
    super('BUG', message, options);
  }
}

/** One line for a user: message, chain of causes where they add something, hint. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let hint: string | undefined;
  for (
    let at: unknown = error;
    at !== undefined && parts.length < 5;
    at = at instanceof Error ? at.cause : undefined
  ) {
    const text = at instanceof Error ? at.message : String(at);
    if (!parts.some((part) => part.includes(text))) parts.push(text);
    if (at instanceof WeirError) hint ??= at.hint;
  }
  const line = parts.join(': ').replace(/\s*\n\s*/g, ' ');
  return hint === undefined ? line : `${line} (${hint})`;
}
