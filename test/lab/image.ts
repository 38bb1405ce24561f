/**
 * Images without a registry: this machine's static busybox, and further binaries with the libraries they need.
 * curl is always in: the static busybox cannot resolve names in an image without glibc's own libraries.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { attempt, run } from './run.ts';

async function librariesOf(binary: string): Promise<string[]> {
  const listed = await attempt(['ldd', binary]); // a static binary has none: ldd then exits with 1
  return [...listed.stdout.matchAll(/(\/\S+)/g)].map(([path]) => path).filter((path) => existsSync(path));
}

function copyInto(root: string, from: string, to: string): void {
  const target = join(root, to);
  if (existsSync(target)) return;
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(from, target);
}

async function fillRoot(root: string, binaries: string[]): Promise<void> {
  for (const folder of ['bin', 'etc', 'tmp', 'www']) mkdirSync(join(root, folder));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\n');
  const busybox = await run(['which', 'busybox']);
  copyInto(root, busybox, 'bin/busybox');
  for (const applet of (await run([busybox, '--list'])).split('\n')) {
    if (applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet));
  }
  for (const binary of ['curl', ...binaries]) {
    const path = binary.includes('/') ? binary : await run(['which', binary]);
    rmSync(join(root, 'bin', basename(path)), { force: true });
    copyInto(root, path, join('bin', basename(path)));
    for (const library of await librariesOf(path)) copyInto(root, library, library);
  }
  chmodSync(root, 0o755);
}

/** Imports image `name` into the dockerd whose socket is `docker.sock` in `folder`. */
export async function importImage(folder: string, name: string, binaries: string[]): Promise<void> {
  const root = mkdtempSync(join(folder, 'image-'));
  try {
    await fillRoot(root, binaries);
    const pipe = 'tar -C "$1" -c . | docker -H "unix://$2" import --change "ENV PATH=/bin" - "$3"';
    await run(['bash', '-o', 'pipefail', '-c', pipe, 'import', root, join(folder, 'docker.sock'), name]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
