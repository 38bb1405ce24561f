/** Policy files of the command line: a file, a folder of them, or standard input. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { api } from '../base/index.ts';
import { CommandError, usage } from './command-error.ts';
import type { Io } from './io.ts';

const POLICY_FILE = /^[^.].*\.(json|ya?ml)$/i;

/** All policy files under a folder, in the order of their paths; hidden ones are left out. */
async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const inside = entries.map(async (entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith('.') ? [] : filesUnder(path);
    return POLICY_FILE.test(entry.name) ? [path] : [];
  });
  return (await Promise.all(inside)).flat().toSorted();
}

async function read(path: string): Promise<api.PolicySource[]> {
  const paths = (await stat(path)).isDirectory() ? await filesUnder(path) : [path];
  if (paths.length === 0)
    throw new CommandError(`no policy files in ${path}`, { hint: 'names end in .json, .yaml or .yml' });
  return Promise.all(paths.map(async (name) => ({ name, text: await readFile(name, 'utf8') })));
}

const REASONS: Record<string, string> = {
  ENOENT: 'no such file',
  EACCES: 'no permission',
  EISDIR: 'is a folder',
};

/** The files that all of `paths` name, in their order; `-` is standard input. */
export async function readPolicyFiles(paths: string[], io: Io): Promise<api.PolicySource[]> {
  const doubled = paths.find((path, at) => paths.indexOf(path) !== at);
  if (doubled !== undefined) throw usage(`${doubled} is given twice`, 'name each source once');
  return (await Promise.all(paths.map((path) => readSource(path, io)))).flat();
}

async function readSource(path: string, io: Io): Promise<api.PolicySource[]> {
  if (path === '-') return [{ name: 'stdin', text: await io.readStdin() }];
  try {
    return await read(path);
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const { code = '', message, path: at = path } = error as NodeJS.ErrnoException;
    throw new CommandError(`read ${at}: ${REASONS[code] ?? message}`);
  }
}
