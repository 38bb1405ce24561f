/** The log: one pino instance, a line a person can read unless JSON is asked for. */
import { pino } from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'text' | 'json';

/** What every floor takes; a test passes `silentLog`. */
export interface Log {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
  child(component: string): Log;
}

/** Where finished lines go; the default is stderr, so that stdout stays the agent's own word. */
export interface LogSink {
  write(line: string): void;
}

const LABEL: Record<number, string> = { 20: 'debug', 30: 'info', 40: 'warn', 50: 'error' };

/** "12:00:01.123 warn driver: message key=value" from pino's JSON line. */
function readable(line: string): string {
  const { level, time, msg, component, ...rest } = JSON.parse(line) as Record<string, unknown>;
  const fields = Object.entries(rest).map(
    ([key, value]) => ` ${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  return `${clock} ${LABEL[Number(level)] ?? 'info'} ${String(component)}: ${String(msg)}${fields.join('')}\n`;
}

/** The agent's log. */
export function createLog(
  options: { level: LogLevel; format: LogFormat },
  sink: LogSink = process.stderr,
): Log {
  const stream: LogSink = options.format === 'json' ? sink : { write: (line) => sink.write(readable(line)) };
  const root = pino({ level: options.level, base: null }, stream as NodeJS.WritableStream);
  const wrap = (component: string): Log => {
    const at = root.child({ component });
    return {
      debug: (message, fields) => at.debug(fields ?? {}, message),
      info: (message, fields) => at.info(fields ?? {}, message),
      warn: (message, fields) => at.warn(fields ?? {}, message),
      error: (message, fields) => at.error(fields ?? {}, message),
      child: wrap,
    };
  };
  return wrap('agent');
}

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLog };
