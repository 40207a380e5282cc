import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { Hub } from './fanout/hub.ts';
import { Dashboard } from './gateway/dashboard.ts';
import { DashboardAccess } from './gateway/dashboard-access.ts';
import type { Service } from './gateway/internal-server.ts';
import { WebPage } from './gateway/web-page.ts';
import { CLUSTER_VIEW_DEFAULTS, ClusterView } from './observability/cluster-view.ts';
import type { FiguresExchange } from './observability/figures-exchange.ts';
import type { Metrics } from './observability/metrics.ts';
import { type Identity, OwnFigures } from './observability/own-figures.ts';
import { TopRooms } from './observability/top-rooms.ts';

export interface DashboardSources {
  readonly metrics: Metrics;
  readonly hub: Hub;
  /** null: other replicas can't be asked, or there are none. */
  readonly exchange: FiguresExchange | null;
  readonly identity: Identity;
  /** Whether who looks may know the names of rooms. */
  readonly showsRooms: boolean;
}

export interface OpenDashboard {
  readonly service: Service;
  figures(): { readonly streams: number; readonly streamsMax: number };
  /** Ends every stream, and takes no more part in what replicas tell one another. */
  close(): void;
}

/** Pages and programs that are told figures at a time, and bytes that may wait for each. */
const STREAMS_MAX = 32;
const STREAM_BYTES_MAX = 2_097_152;

/** What `/dashboard` shows, and how. */
export async function openDashboard(
  { apiKeys, internalHost }: Config,
  { metrics, hub, exchange, identity, showsRooms }: DashboardSources,
  logger: Logger,
): Promise<OpenDashboard> {
  const view = new ClusterView(new OwnFigures(identity, metrics, new TopRooms(hub)), exchange, {
    ...CLUSTER_VIEW_DEFAULTS,
    showsRooms,
    hasOthers: identity.hasKafka,
  });
  await view.open();
  const access = new DashboardAccess({ keys: apiKeys, host: internalHost });
  const page = new WebPage(new URL('./dashboard/', import.meta.url));
  const settings = { access, streamsMax: STREAMS_MAX, streamBytesMax: STREAM_BYTES_MAX };
  const service = new Dashboard(page, view, settings, logger);
  return {
    service,
    figures: () => ({ streams: service.streamCount, streamsMax: STREAMS_MAX }),
    close() {
      service.close();
      view.close();
    },
  };
}
