/** A plugin of another name in front of weir's, which takes down how long weir takes for each call. */
import { rmSync } from 'node:fs';
import { createServer, request, Agent } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { LabHost } from './lab.ts';

export interface Call {
  /** As in `NetworkDriver.Join`. */
  method: string;
  ms: number;
}

const NS_PER_MS = 1e6;

export class PluginProxy implements Disposable {
  readonly calls: Call[] = [];
  readonly #server: Server;
  readonly #path: string;
  readonly #target: string;
  readonly #connections = new Agent({ keepAlive: true });

  private constructor(folder: string, name: string) {
    this.#path = `${folder}/${name}.sock`;
    this.#target = `${folder}/weir.sock`;
    this.#server = createServer((asked, answer) => void this.#pass(asked, answer));
  }

  static async start(host: LabHost, name: string): Promise<PluginProxy> {
    const proxy = new PluginProxy(`/proc/${host.machine.pid}/root/run/docker/plugins`, name);
    await new Promise<void>((resolve) => {
      proxy.#server.listen(proxy.#path, resolve);
    });
    return proxy;
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of asked as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const headers = { 'content-length': body.length };
    const { url: path = '', method = 'POST' } = asked;
    const start = process.hrtime.bigint();
    const onward = request(
      { socketPath: this.#target, path, method, headers, agent: this.#connections },
      (answered) => {
        answered.once('end', () => {
          this.calls.push({ method: path.slice(1), ms: Number(process.hrtime.bigint() - start) / NS_PER_MS });
        });
        answer.writeHead(answered.statusCode ?? 500, answered.headers);
        answered.pipe(answer);
      },
    );
    onward.once('error', () => answer.destroy());
    onward.end(body);
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#server.closeAllConnections();
    this.#connections.destroy();
    rmSync(this.#path, { force: true });
  }
}
