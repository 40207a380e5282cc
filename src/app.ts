import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { openEmbeddedLog } from './fanout/embedded-log.ts';
import { EMBEDDED_LOG_DEFAULTS } from './fanout/embedded-settings.ts';
import { Gateway } from './gateway/gateway.ts';
import type { NodeFacts } from './gateway/handlers/connect.ts';
import { HostRules } from './gateway/host-rules.ts';
import { createInternalServer } from './gateway/internal-server.ts';
import { PublicServer } from './gateway/public-server.ts';
import { CLOSE_TIMEOUT_MS } from './gateway/transport.ts';
import { WebPage } from './gateway/web-page.ts';
import { BOUNDS } from './protocol/bounds.ts';
import { TcpServer } from './tcp/tcp-server.ts';
import { Certificate } from './tls.ts';
import { VERSION } from './version.ts';

/** A running gateway. */
export interface App {
  /** The ports in use. */
  readonly ports: { readonly http: number; readonly tcp: number; readonly internal: number };
  /**
   * Ends in good order: no new connections, publishes under way are settled, every session is told `drain`, and
   * the log is closed.
   */
  drain(): Promise<void>;
}

/** Bytes of one room's publications that end a tick: several frames' worth must fit into an outbox. */
const TICK_BYTES_MAX = 65_536;

/**
 * Puts the process together: the one place that knows which log, transports and servers there are.
 *
 * @param onFailure called when the process cannot go on and must be started again.
 * @throws DataDirectoryError, or whatever keeps a port from listening.
 */
export async function startApp(config: Config, logger: Logger, onFailure: (error: Error) => void): Promise<App> {
  const log = await openEmbeddedLog(
    {
      ...EMBEDDED_LOG_DEFAULTS,
      directory: config.dataDir,
      partitions: config.partitions,
      windowMs: config.dedupeWindowMs,
      queueRecordsMax: config.appendQueueRecordsMax,
      queueBytesMax: config.appendQueueBytesMax,
      queueWaitMsMax: config.appendQueueWaitMs,
      appendTimeoutMs: config.appendTimeoutMs,
      retentionMs: config.retentionMs,
      retentionBytes: config.retentionBytes,
      retentionIntervalMs: config.retentionIntervalMs,
      // For the tests that show what the sync is for; nothing else may turn it off.
      synced: process.env.TIDEGATE_TEST_UNSYNCED !== 'true',
      onFailure,
    },
    logger,
  );
  const gateway = new Gateway(
    log,
    {
      hub: { tickMaxMs: config.tickMaxMs, tickBytesMax: TICK_BYTES_MAX, recentBytesMax: BOUNDS.pageBytesMax },
      outboxBytesMax: config.outboxBytesMax,
      unsharedBytesMax: config.unsharedBytesMax,
      connectionsMax: config.connectionsMax,
      connectTimeoutMs: config.connectTimeoutMs,
      catchUpTimeoutMs: config.catchUpTimeoutMs,
      facts: nodeFacts(config),
    },
    logger,
  );
  const certificate =
    config.tlsCert !== null && config.tlsKey !== null ? new Certificate(config.tlsCert, config.tlsKey, logger) : null;
  const tls = certificate?.read() ?? null;
  const { connectionsMax } = config;
  const rules = new HostRules(config.hosts, config.origins);
  const page = new WebPage(new URL('../web/', import.meta.url));
  const publicServer = new PublicServer(gateway, rules, page, { connectionsMax, tls });
  const tcpServer = new TcpServer(gateway, {
    greetingMs: config.greetingMs,
    firstLineTimeoutMs: config.firstLineTimeoutMs,
    connectionsMax,
    tls,
  });
  const internalServer = createInternalServer({
    notReady() {
      if (gateway.draining) return 'draining';
      const { writable, reason } = log.state();
      return writable ? null : (reason ?? 'the log cannot be written');
    },
  });
  certificate?.watch((context) => {
    for (const { server } of [publicServer, tcpServer]) {
      if ('setSecureContext' in server) server.setSecureContext(context);
    }
  });

  const { backlog } = config;
  const ports = {
    http: await listen(publicServer.server, config.httpPort, config.host, backlog),
    tcp: await listen(tcpServer.server, config.tcpPort, config.host, backlog),
    internal: await listen(internalServer, config.internalPort, config.internalHost, backlog),
  };

  return {
    ports,
    async drain() {
      publicServer.close();
      tcpServer.close();
      await gateway.drain(config.drainMs);
      await gateway.whenEmpty(CLOSE_TIMEOUT_MS);
      internalServer.close();
      certificate?.unwatch();
      await log.close();
    },
  };
}

function nodeFacts(config: Config): NodeFacts {
  const { frameBytesMax, serverFrameBytesMax, dataBytesMax, signalBytesMax } = BOUNDS;
  const { roomsMax, watchesMax, historyMax, publishesUnansweredMax } = BOUNDS;
  return {
    protocol: 1,
    features: [],
    server: `tidegate/${VERSION}`,
    node: config.nodeId,
    heartbeatMs: 0,
    retryWindowMs: config.retryWindowMs,
    limits: {
      frameBytesMax,
      serverFrameBytesMax,
      dataBytesMax,
      signalBytesMax,
      roomsMax,
      watchesMax,
      historyMax,
      publishesUnansweredMax,
      commands: null,
      publishes: null,
      signals: null,
      bytes: null,
    },
  };
}

async function listen(server: Server, port: number, host: string, backlog: number): Promise<number> {
  server.listen({ port, host, backlog });
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
