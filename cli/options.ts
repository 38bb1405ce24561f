/** Options as `weir config` and `weir endpoint config` take them: Name=value. */
import type { api } from '../base/index.ts';
import { usage } from './command-error.ts';

const AUDIT = /^PolicyAuditMode=(enable|disable)d?$/i;

export function parseOptions(texts: string[]): api.Options {
  const [text = '', ...more] = texts;
  if (more.length > 0) throw usage('there is one option', 'write PolicyAuditMode=enable');
  const mode = AUDIT.exec(text)?.[1]?.toLowerCase();
  if (mode === 'enable' || mode === 'disable') return { policyAuditMode: mode };
  throw usage(`"${text}" is no option`, 'write PolicyAuditMode=enable or PolicyAuditMode=disable');
}
