/** The verifier's refusal: one line for a person, the whole log for whoever asks. */
import { KernelError } from './failure.ts';

/** Lines of a log that say nothing about why: statistics, register states, instructions, source. */
const NOISE =
  /^(processed \d|verification time|stack depth|peak_states|max_states|insns |;|\d+: |from \d|R\d+(_\w+)?=|mark_)/;

/** The last lines that carry a reason, at most three, in order. */
export function decisiveLines(log: string): string[] {
  const lines = log.split('\n').map((line) => line.trim());
  const telling = lines.filter((line) => line !== '' && !NOISE.test(line));
  const last = telling.slice(-3);
  return last.length > 0 ? last : lines.filter(Boolean).slice(-2);
}

/** KernelError of a refused program. `log` is what the verifier wrote, as much as it kept. */
export class VerifierError extends KernelError {
  readonly log: string;

  constructor(operation: string, code: number, log: string) {
    super(operation, code, decisiveLines(log).join('; '), { kind: 'PROGRAM_REFUSED' });
    this.log = log;
  }
}
