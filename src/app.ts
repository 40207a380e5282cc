import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { type Config, isLoopback } from './config.ts';
import { chooseEngine } from './engine.ts';
import { ApiAccess } from './gateway/api/api-access.ts';
import { ServerApi } from './gateway/api/server-api.ts';
import { Gateway, type GatewaySettings } from './gateway/gateway.ts';
import type { NodeFacts } from './gateway/handlers/connect.ts';
import { HostRules } from './gateway/host-rules.ts';
import { createInternalServer } from './gateway/internal-server.ts';
import { PublicRules, type PublicServer } from './gateway/public-port.ts';
import { CLOSE_TIMEOUT_MS } from './gateway/transport.ts';
import { UwsServer } from './gateway/uws-server.ts';
import { WebPage } from './gateway/web-page.ts';
import { WsServer } from './gateway/ws-server.ts';
import { Grants } from './identity/grants.ts';
import type { KeySource } from './identity/key-source.ts';
import { RemoteKeySet } from './identity/remote-key-set.ts';
import { isWeakSecret, SharedSecret } from './identity/shared-secret.ts';
import { JwtVerifier } from './identity/token-verifier.ts';
import { TimerWheel } from './limits/timer-wheel.ts';
import { listen } from './listen.ts';
import { CountedService } from './observability/counted-service.ts';
import { CountedVerifier } from './observability/counted-verifier.ts';
import { DeliveryProbe } from './observability/delivery-probe.ts';
import { Metrics } from './observability/metrics.ts';
import { Tally } from './observability/tally.ts';
import { openHistory } from './open-history.ts';
import { openLog } from './open-log.ts';
import { openPeers } from './open-peers.ts';
import { openPresence } from './open-presence.ts';
import { openRedis } from './open-redis.ts';
import { openTracing } from './open-tracing.ts';
import { BOUNDS } from './protocol/bounds.ts';
import { TcpServer } from './tcp/tcp-server.ts';
import { Certificate } from './tls.ts';
import { VERSION } from './version.ts';

/** A running gateway. */
export interface App {
  /** The ports in use. */
  readonly ports: { readonly http: number; readonly tcp: number; readonly internal: number };
  /**
   * Ends in good order: readiness turns false, every session is told `drain` at a moment of its own when its publishes
   * under way are settled, and the log is closed.
   */
  drain(): Promise<void>;
}

/** Bytes of one room's publications that end a tick: several frames' worth must fit into an outbox. */
const TICK_BYTES_MAX = 65_536;
/** Milliseconds between two looks at what is due: no timeout is more precise. */
const WHEEL_TICK_MS = 25;
/** Milliseconds by which timeouts move on at most when the process could not run: below all of them. */
const WHEEL_STEP_MS_MAX = 250;
/** Connections of one user that were cut off and are still seen. */
const LINGERING_PER_USER_MAX = 16;
/** Of the time for a drain, what its sessions' moments are spread over; the rest is for the last commands' answers. */
const SPREAD_SHARE = 0.8;
/** Milliseconds after which a probe record that was not delivered counts as lost. */
const PROBE_TIMEOUT_MS = 5_000;

/**
 * Puts the process together: the one place that knows which log, transports and servers there are.
 *
 * @param onFailure called when the process cannot go on and must be started again.
 * @throws ConfigError, DataDirectoryError, KafkaSetupError or RedisSetupError, or whatever keeps a port from listening.
 */
export async function startApp(config: Config, logger: Logger, onFailure: (error: Error) => void): Promise<App> {
  const redis = await openRedis(config, logger);
  const history = await openHistory(config, redis, logger);
  const { log, figures, topic, bounds: logBounds } = await openLog(config, history, logger, onFailure);
  const tracing = await openTracing(config, topic, logger);
  const keys = openKeys(config, logger);
  const presence = await openPresence(config, redis, logger);
  const wheel = new TimerWheel({ tickMs: WHEEL_TICK_MS, stepMsMax: WHEEL_STEP_MS_MAX });
  const tally = new Tally();
  const { peers, figures: peerFigures } = await openPeers(config, redis, logger);
  if (redis !== null) redis.onAnswered = (kind, ms) => tally.redisCalls[kind].observeMs(ms);
  const gateway = new Gateway(
    { log, presence: presence.store, isPresenceShared: redis !== null, peers, tracing: tracing ?? undefined },
    wheel,
    gatewaySettings(config, keys, tally),
    logger,
    tally,
  );
  await gateway.open();
  const certificate =
    config.tlsCert !== null && config.tlsKey !== null ? new Certificate(config.tlsCert, config.tlsKey, logger) : null;
  const tls = certificate?.read() ?? null;
  const { connectionsMax } = config;
  const publicServer = createPublicServer(config, gateway, tls, logger);
  const tcpServer = new TcpServer(gateway, {
    greetingMs: config.greetingMs,
    firstLineTimeoutMs: config.firstLineTimeoutMs,
    headerTimeoutMs: config.connectTimeoutMs,
    keepaliveMs: config.keepaliveMs,
    unacknowledgedMs: config.unacknowledgedMs,
    connectionsMax,
    tls,
    trustedProxies: config.trustedProxies,
    proxyProtocol: config.proxyProtocol,
  });
  const health = {
    notReady() {
      if (gateway.draining) return 'draining';
      const { writable, reason } = log.state();
      return writable ? null : (reason ?? 'the log cannot be written');
    },
  };
  const api = new ServerApi(
    gateway,
    {
      access: new ApiAccess({ keys: config.apiKeys, keyNeeded: apiKeyNeeded(config), host: config.internalHost }),
      document: readFileSync(new URL('../docs/openapi.json', import.meta.url)),
      requestsMax: config.apiRequestsMax,
    },
    logger,
  );
  const probe = new DeliveryProbe(log, gateway.hub, wheel, tally, {
    intervalMs: config.probeMs,
    timeoutMs: PROBE_TIMEOUT_MS,
  });
  const { readsQueuedMax, dedupeEntriesMax } = logBounds;
  const { appendQueueRecordsMax, appendQueueBytesMax } = config;
  const metrics = new Metrics({
    ...{ tally, gateway, log, figures, probe },
    redis: redis === null ? null : () => redis.figures(),
    history: history === null ? null : () => history.figures(),
    presence: presence.figures,
    peers: peerFigures,
    tracing: tracing === null ? null : () => tracing.figures(),
    keySet: keys instanceof RemoteKeySet ? keys : null,
    bounds: {
      ...{
        connectionsMax,
        handshakesMax: config.handshakesMax,
        appendQueueRecordsMax,
        appendQueueBytesMax,
        readsQueuedMax,
        dedupeEntriesMax,
      },
      lingeringMax: connectionsMax,
    },
  });
  const internalServer = createInternalServer(
    { health, api: new CountedService(api, tally), delivery: probe, metrics },
    logger,
  );
  certificate?.watch((pair) => {
    publicServer.setCertificate(pair);
    tcpServer.setCertificate(pair);
  });

  const { backlog } = config;
  const ports = {
    http: await publicServer.listen(config.httpPort, config.host, backlog),
    tcp: await listen(tcpServer.server, config.tcpPort, config.host, backlog),
    internal: await listen(internalServer, config.internalPort, config.internalHost, backlog),
  };

  probe.start();

  return {
    ports,
    async drain() {
      const deadlineMs = performance.now() + config.drainMs;
      const leftMs = () => Math.max(deadlineMs - performance.now(), 0);
      gateway.leave();
      // Of one process by itself there is nobody to go to: the sooner it has ended, the sooner it is back.
      const hasOthers = config.kafkaBrokers.length > 0;
      if (hasOthers) await sleep(Math.min(config.drainNoticeMs, config.drainMs / 2));
      publicServer.close();
      tcpServer.close();
      await gateway.drain(leftMs(), hasOthers ? leftMs() * SPREAD_SHARE : 0);
      probe.stop();
      await api.settled(leftMs());
      await gateway.whenEmpty(CLOSE_TIMEOUT_MS);
      await publicServer.settled();
      internalServer.close();
      keys?.close();
      wheel.close();
      certificate?.unwatch();
      await history?.close();
      await log.close();
      await tracing?.close();
      redis?.close();
    },
  };
}

/** The public port on the library that the settings name, or on the faster one if it is there. */
function createPublicServer(
  config: Config,
  gateway: Gateway,
  tls: SecureContextOptions | null,
  logger: Logger,
): PublicServer {
  const { connectionsMax, trustedProxies, tlsCert: cert, tlsKey: key } = config;
  const page = new WebPage(new URL('./web/', import.meta.url));
  const rules = new PublicRules(new HostRules(config.hosts, config.origins), page);
  const engine = chooseEngine(config);
  logger.info({ engine: engine.name }, `WebSockets are served by ${engine.what}`);
  if (engine.library === null) return new WsServer(gateway, rules, { connectionsMax, tls, trustedProxies });
  return new UwsServer(engine.library, gateway, rules, {
    connectionsMax,
    trustedProxies,
    tls: cert !== null && key !== null ? { cert, key } : null,
  });
}

/** Where the keys of tokens come from; null where access is anonymous. */
function openKeys(config: Config, logger: Logger): KeySource | null {
  if (config.auth === 'anonymous') return null;
  if (config.jwtSecret !== null) {
    if (isWeakSecret(config.jwtSecret)) logger.warn({}, 'TIDEGATE_JWT_SECRET is too short to be safe');
    return new SharedSecret(config.jwtSecret);
  }
  return new RemoteKeySet({
    // One of the two is there: the settings were checked.
    url: config.jwksUrl ?? '',
    logger,
    cooldownMs: config.jwksCooldownMs,
    refreshMs: config.jwksRefreshMs,
  });
}

function gatewaySettings(config: Config, keys: KeySource | null, tally: Tally): GatewaySettings {
  return {
    hub: { tickMaxMs: config.tickMaxMs, tickBytesMax: TICK_BYTES_MAX, recentBytesMax: BOUNDS.pageBytesMax },
    outboxBytesMax: config.outboxBytesMax,
    unsharedBytesMax: config.unsharedBytesMax,
    inboxBytesMax: config.inboxBytesMax,
    inboxesBytesMax: config.inboxesBytesMax,
    connectionsMax: config.connectionsMax,
    handshakesMax: config.handshakesMax,
    roomMembersMax: config.roomMembersMax,
    catchUpTimeoutMs: config.catchUpTimeoutMs,
    liveness: {
      connectTimeoutMs: config.connectTimeoutMs,
      heartbeatMs: config.heartbeatMs,
      heartbeatTimeoutMs: config.heartbeatTimeoutMs,
    },
    rates: {
      commands: config.limitCommands,
      publishes: config.limitPublishes,
      signals: config.limitSignals,
      bytes: config.limitBytes,
    },
    tracker: {
      graceMs: config.graceMs,
      batchMs: config.presenceBatchMs,
      lingeringPerUserMax: LINGERING_PER_USER_MAX,
      lingeringMax: config.connectionsMax,
    },
    feed: {
      intervalMs: config.presencePushMs,
      namesReadersMax: config.presenceNamesMax,
      fastReadersMax: config.presenceFastMax,
      slowIntervalMs: config.presenceSlowPushMs,
    },
    access: {
      facts: nodeFacts(config),
      verifier:
        keys === null
          ? null
          : new CountedVerifier(
              new JwtVerifier({
                key: keys,
                issuer: config.jwtIssuer,
                audience: config.jwtAudience,
                leewayMs: config.jwtLeewayMs,
              }),
              tally,
            ),
      anonymousGrants: anonymousGrants(config),
      sessionsPerAddressMax: config.sessionsPerAddress,
    },
    sessionsPerUserMax: config.sessionsPerUser,
  };
}

/** Why the server API needs a key where none is set, or null: nobody but this machine's own programs reach it. */
function apiKeyNeeded({ internalHost, auth }: Config): string | null {
  if (!isLoopback(internalHost)) return 'TIDEGATE_API_KEYS is not set, and TIDEGATE_INTERNAL_HOST is not loopback';
  return auth === 'anonymous' ? null : 'TIDEGATE_API_KEYS is not set, and TIDEGATE_AUTH is not anonymous';
}

/** What anonymous sessions may do: shared by all, unless it depends on who they are. */
function anonymousGrants(config: Config): (user: string) => Grants {
  const patterns = {
    join: config.anonymousJoin,
    publish: config.anonymousPublish,
    presence: config.anonymousPresence,
  };
  const isPersonal = Object.values(patterns).some((list) => list.some((pattern) => pattern.includes('{user}')));
  const shared = Grants.of(patterns, '');
  return isPersonal ? (user) => Grants.of(patterns, user) : () => shared;
}

function nodeFacts(config: Config): NodeFacts {
  const { frameBytesMax, serverFrameBytesMax, dataBytesMax, signalBytesMax } = BOUNDS;
  const { roomsMax, watchesMax, historyMax, publishesUnansweredMax } = BOUNDS;
  return {
    protocol: 1,
    features: [],
    server: `tidegate/${VERSION}`,
    node: config.nodeId,
    heartbeatMs: config.heartbeatMs,
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
      commands: config.limitCommands,
      publishes: config.limitPublishes,
      signals: config.limitSignals,
      bytes: config.limitBytes,
    },
  };
}
