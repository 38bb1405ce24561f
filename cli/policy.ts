/** weir policy: the rules in force, and changes to them. */
import { InvalidArgumentError, type Command } from 'commander';
import type { api } from '../base/index.ts';
import { FAILED, usage } from './command-error.ts';
import type { Context } from './context.ts';
import { show, withOutput, type OutputOptions } from './output.ts';
import { readPolicyFiles } from './policy-files.ts';
import { previewText } from './policy-preview.ts';
import { addTrace } from './policy-trace.ts';

const SOURCES = 'files, folders with .json, .yaml and .yml files, or - for standard input';
const GRACE_MS = 10_000;
/** On a large host all pairs of containers are looked at. */
const PREVIEW_MS = 120_000;

interface ImportOptions extends OutputOptions {
  replaceAll?: boolean;
  dryRun?: boolean;
}

const revisionLine = ({ revision }: { revision: number }): string => `Revision: ${revision}\n`;

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return Number(text);
}

function addImport(group: Command, context: Context): void {
  withOutput(group.command('import'))
    .description('import rules; all files together make one revision, or none')
    .argument('<source...>', SOURCES)
    .option('--replace-all', 'the files become the whole policy')
    .option('--dry-run', 'change nothing; say for which containers and connections the verdict would change')
    .action(async (paths: string[], options: ImportOptions, command: Command) => {
      const files = await readPolicyFiles(paths, context.io);
      const body: api.ImportRequest = { files, replaceAll: options.replaceAll === true };
      if (options.dryRun === true) {
        const call = { method: 'POST', body, timeoutMs: PREVIEW_MS } as const;
        const preview = await context.client(command).call<api.PolicyPreview>('/v1/policy/preview', call);
        return show(context.io, options, preview, previewText);
      }
      const revision = await context
        .client(command)
        .call<api.Revision>('/v1/policy', { method: 'PUT', body });
      return show(context.io, options, revision, revisionLine);
    });
}

function addValidate(group: Command, context: Context): void {
  withOutput(group.command('validate'))
    .description('judge policy files as an import would, and change nothing')
    .argument('<source...>', SOURCES)
    .action(async (paths: string[], options: OutputOptions, command: Command) => {
      const body: api.ImportRequest = { files: await readPolicyFiles(paths, context.io) };
      const answer = await context
        .client(command)
        .call<api.Validation>('/v1/policy/validate', { method: 'POST', body });
      await show(
        context.io,
        options,
        answer,
        ({ count }) => `Valid: ${count} ${count === 1 ? 'rule' : 'rules'}\n`,
      );
    });
}

function addGet(group: Command, context: Context): void {
  withOutput(group.command('get'))
    .description('show the rules, or those that carry all the given labels')
    .argument('[labels...]', 'labels of rules')
    .action(async (labels: string[], options: OutputOptions, command: Command) => {
      const policy = await context.client(command).get<api.Policy>('/v1/policy', { labels });
      const human = ({ rules }: api.Policy): string =>
        `${JSON.stringify(rules, null, 2)}\n${revisionLine(policy)}`;
      await show(context.io, options, policy, human);
    });
}

function addDelete(group: Command, context: Context): void {
  withOutput(group.command('delete'))
    .description('delete the rules that carry all the given labels')
    .argument('[labels...]', 'labels of rules')
    .option('--all', 'delete every rule')
    .action(async (labels: string[], options: OutputOptions & { all?: boolean }, command: Command) => {
      if (labels.length > 0 === (options.all === true)) throw usage('say which rules: labels, or --all');
      const query = options.all === true ? { all: 'true' } : { labels };
      const revision = await context
        .client(command)
        .call<api.Revision>('/v1/policy', { method: 'DELETE', query });
      await show(context.io, options, revision, revisionLine);
    });
}

function addWait(group: Command, context: Context): void {
  withOutput(group.command('wait'))
    .description('wait until a revision is enforced on every endpoint; exits 1 if that takes too long')
    .argument('<revision>', 'number that an import printed', wholeNumber)
    .option('--max-wait-time <seconds>', 'longest wait', wholeNumber, 360)
    .action(async (revision: number, options: OutputOptions & { maxWaitTime: number }, command: Command) => {
      const timeoutMs = options.maxWaitTime * 1000;
      const call = { query: { revision, timeoutMs }, timeoutMs: timeoutMs + GRACE_MS };
      const answer = await context.client(command).call<api.Wait>('/v1/policy/wait', call);
      await show(context.io, options, answer, (now) =>
        now.reached ? revisionLine(now) : `Revision ${revision} is not enforced yet, ${now.revision} is\n`,
      );
      if (!answer.reached) context.exitCode = FAILED;
    });
}

export function addPolicy(program: Command, context: Context): void {
  const group = program.command('policy').description('show and change the policy');
  addImport(group, context);
  addGet(group, context);
  addDelete(group, context);
  addValidate(group, context);
  addTrace(group, context);
  addWait(group, context);
}
