import { APPEND_SECONDS } from '../../src/observability/metric-entry.ts';
import type { Scope } from './scope.ts';

/** Everything that is plotted, of the replicas that are looked at; null: it is not known, or there is none. */
export const COLUMNS = {
  ackP50: (scope) => scope.tookMs('publishAppend', APPEND_SECONDS, 0.5),
  ackP99: (scope) => scope.tookMs('publishAppend', APPEND_SECONDS, 0.99),
  deliverP50: (scope) => scope.tookMs('appendDeliver', APPEND_SECONDS, 0.5),
  deliverP99: (scope) => scope.tookMs('appendDeliver', APPEND_SECONDS, 0.99),
  publishes: (scope) => scope.pace('publishes'),
  commands: (scope) => total(scope.paceByLabel('commands')),
  deliveries: (scope) => scope.pace('deliveries'),
  bytesReceived: (scope) => scope.pace('bytesReceived'),
  bytesSent: (scope) => scope.pace('bytesSent'),
  errors: (scope) => total(scope.paceByLabel('errors')),
  disconnects: (scope) => total(scope.paceByLabel('disconnects')),
  refused: (scope) => total(scope.paceByLabel('connectionsRefused')),
  loopLag: (scope) => scope.most(({ process }) => process.loopLagMs),
  loopBusy: (scope) => scope.most(({ process }) => process.loopBusy),
  cpu: (scope) => scope.pace('cpu'),
  memory: (scope) => (scope.replicas.length === 0 ? null : scope.residentBytes),
  sessions: (scope) => (scope.replicas.length === 0 ? null : scope.total('sessions')),
  online: (scope) => scope.byLabel('statusSessions').get('online') ?? null,
  away: (scope) => scope.byLabel('statusSessions').get('away') ?? null,
  dnd: (scope) => scope.byLabel('statusSessions').get('dnd') ?? null,
  lag: (scope) => (scope.replicas.length === 0 ? null : Math.max(0, ...scope.lag.values())),
} as const satisfies Record<string, (scope: Scope) => number | null>;

export type Column = keyof typeof COLUMNS;

export const COLUMN_NAMES = Object.keys(COLUMNS) as Column[];

export function columnsOf(scope: Scope): Record<Column, number | null> {
  return Object.fromEntries(COLUMN_NAMES.map((column) => [column, COLUMNS[column](scope)])) as Record<
    Column,
    number | null
  >;
}

function total(counts: ReadonlyMap<string, number> | null): number | null {
  return counts === null ? null : [...counts.values()].reduce((sum, count) => sum + count, 0);
}
