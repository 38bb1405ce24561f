/** What listens on the plugin socket: activation, and the drivers' routers. */
import express, { type Express, type Router } from 'express';
import { type Log, PLUGIN_CONTENT_TYPE, pluginHandler } from '../base/index.ts';

export interface PluginAppOptions {
  networkDriver: Router;
  ipamDriver: Router;
  log: Log;
}

/**
 * The app; whoever listens with it sets the server's keepAliveTimeout very high: a connection that closes as dockerd
 * sends on it makes dockerd repeat the call without its body.
 */
export function createPluginApp({ networkDriver, ipamDriver, log }: PluginAppOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  const run = (): object => ({ Implements: ['NetworkDriver', 'IpamDriver'] });
  app.post('/Plugin.Activate', pluginHandler({ name: 'Plugin.Activate', bodyless: true, run }, log));
  app.use(networkDriver);
  app.use(ipamDriver);
  app.use((request, response) => {
    const text = `${request.method} ${request.path.slice(0, 100)} is not a call of the plugin protocol [NOT_FOUND]`;
    response
      .status(404)
      .set('Content-Type', PLUGIN_CONTENT_TYPE)
      .end(JSON.stringify({ Err: text, Error: text }));
  });
  return app;
}
