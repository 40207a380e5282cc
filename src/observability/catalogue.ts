import { DISCONNECTS } from '../protocol/disconnects.ts';
import { ERRORS } from '../protocol/errors.ts';
import { OPS } from '../protocol/reader.ts';
import { LOG_METRICS } from './log-metrics.ts';
import { APPEND_SECONDS, CALL_SECONDS, LOCAL_SECONDS, type MetricEntry } from './metric-entry.ts';
import { PEER_METRICS } from './peer-metrics.ts';
import { PRESENCE_METRICS } from './presence-metrics.ts';
import { REDIS_METRICS } from './redis-metrics.ts';
import { TRACE_METRICS } from './trace-metrics.ts';

const API_CALLS = [
  'publish',
  'room_presence',
  'history',
  'kick',
  'user_presence',
  'disconnect',
  'document',
  'unknown',
] as const;
const API_STATUSES = ['200', '400', '401', '403', '404', '409', '413', '429', '500', '503', '504', 'other'] as const;
const REASONS = Object.keys(DISCONNECTS) as (keyof typeof DISCONNECTS)[];
const CODES = Object.keys(ERRORS) as (keyof typeof ERRORS)[];

/** Every metric of ours, by the name that the code has for it. docs/METRICS.md is held equal to this. */
export const METRICS = {
  publishAppend: {
    name: 'tidegate_publish_append_seconds',
    type: 'histogram',
    signal: 'latency',
    help: 'From a publish to the acknowledgement by the log, of those acknowledged',
    buckets: APPEND_SECONDS,
  },
  appendDeliver: {
    name: 'tidegate_append_deliver_seconds',
    type: 'histogram',
    signal: 'latency',
    help: "From the log's time of a publication, in milliseconds and set before the commit, until all its pushes were handed to the sockets",
    buckets: APPEND_SECONDS,
  },
  tailDeliver: {
    name: 'tidegate_tail_deliver_seconds',
    type: 'histogram',
    signal: 'latency',
    help: "From the first publication of a room's tick coming out of the log until all pushes of the tick were handed to the sockets",
    buckets: LOCAL_SECONDS,
  },
  connect: {
    name: 'tidegate_connect_seconds',
    type: 'histogram',
    signal: 'latency',
    help: 'From a connect command to its reply, of those that succeeded',
    buckets: CALL_SECONDS,
  },
  join: {
    name: 'tidegate_join_seconds',
    type: 'histogram',
    signal: 'latency',
    help: 'From a join command to its reply, with presence and history where asked for, of those that succeeded',
    buckets: CALL_SECONDS,
  },
  apiRequest: {
    name: 'tidegate_api_request_seconds',
    type: 'histogram',
    signal: 'latency',
    help: "From a server API request's head to the end of its answer",
    labels: { call: API_CALLS },
    buckets: CALL_SECONDS,
  },
  probe: {
    name: 'tidegate_probe_seconds',
    type: 'histogram',
    signal: 'latency',
    help: 'From the append of a probe record until a subscription of ours was pushed it',
    buckets: APPEND_SECONDS,
  },

  commands: {
    name: 'tidegate_commands_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Commands understood, also those that are answered with an error',
    labels: { op: OPS },
  },
  publications: {
    name: 'tidegate_publications_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Publications handed to rooms with members here, those of the probe among them',
  },
  deliveries: {
    name: 'tidegate_deliveries_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Publications handed to members: publications times members',
  },
  signalPushes: {
    name: 'tidegate_signal_pushes_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Signals handed to members',
  },
  signalsShed: {
    name: 'tidegate_signals_shed_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Signals that a member went without, because it lagged behind',
  },
  resumes: {
    name: 'tidegate_resumes_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Joins with a position, answered: recovered, or with a gap, by the farthest that had to be looked: nothing was missed (present), memory, the history in Redis, or the log (Kafka, or the disk of the embedded one)',
    labels: { source: ['present', 'memory', 'history', 'log'], outcome: ['recovered', 'gap'] },
  },
  bytesReceived: {
    name: 'tidegate_received_bytes_total',
    type: 'counter',
    signal: 'traffic',
    help: "Bytes of clients' lines, without the framing of the transport",
  },
  bytesSent: {
    name: 'tidegate_sent_bytes_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Bytes of replies and pushes handed to sockets, as framed, without TLS',
  },
  connectionsAccepted: {
    name: 'tidegate_connections_accepted_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Connections admitted',
    labels: { transport: ['tcp', 'websocket'] },
  },
  apiRequests: {
    name: 'tidegate_api_requests_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Server API requests answered; other: any other status, or the client went away before its answer',
    labels: { call: API_CALLS, status: API_STATUSES },
  },

  errors: {
    name: 'tidegate_errors_total',
    type: 'counter',
    signal: 'errors',
    help: "Errors that clients' commands and lines were answered with",
    labels: { code: CODES },
  },
  disconnects: {
    name: 'tidegate_disconnects_total',
    type: 'counter',
    signal: 'errors',
    help: 'Sessions that ended: by a disconnect of ours; left: the client said goodbye; input_ended: it ended its side; lost: the connection was gone',
    labels: { reason: [...REASONS, 'left', 'input_ended', 'lost'] },
  },
  connectionsRefused: {
    name: 'tidegate_connections_refused_total',
    type: 'counter',
    signal: 'errors',
    help: 'Connections that got no session: sent away; silent (connect_timeout); no client of ours (foreign, bad_handshake, forbidden host or origin); from a trusted proxy, with a malformed PROXY header or without the one that is required (bad_proxy_header); or above every bound (dropped)',
    labels: {
      reason: [
        'drain',
        'overloaded',
        'connection_limit',
        'connect_timeout',
        'foreign',
        'bad_handshake',
        'forbidden',
        'bad_proxy_header',
        'dropped',
      ],
    },
  },
  rateLimited: {
    name: 'tidegate_rate_limited_total',
    type: 'counter',
    signal: 'errors',
    help: 'Commands refused with rate_limited, by the bucket that was empty',
    labels: { bucket: ['commands', 'publishes', 'signals', 'bytes'] },
  },
  tokensRefused: {
    name: 'tidegate_tokens_refused_total',
    type: 'counter',
    signal: 'errors',
    help: 'Tokens that were not accepted: no good (unauthorized), or not to be checked now (unavailable)',
    labels: { reason: ['unauthorized', 'unavailable'] },
  },
  keySetFetches: {
    name: 'tidegate_key_set_fetches_total',
    type: 'counter',
    signal: 'traffic',
    help: 'Requests for the key set of TIDEGATE_JWKS_URL',
  },
  keySetFailures: {
    name: 'tidegate_key_set_failures_total',
    type: 'counter',
    signal: 'errors',
    help: 'Requests for the key set that brought no keys',
  },
  probeFailures: {
    name: 'tidegate_probe_failures_total',
    type: 'counter',
    signal: 'errors',
    help: 'Probe records that were refused or not delivered in time',
  },
  deliveryOk: {
    name: 'tidegate_delivery_ok',
    type: 'gauge',
    signal: 'errors',
    help: '1 while no partition fails its probes, else 0',
  },
  failingPartitions: {
    name: 'tidegate_failing_partitions',
    type: 'gauge',
    signal: 'errors',
    help: 'Partitions whose last probe failed',
  },

  connections: {
    name: 'tidegate_connections',
    type: 'gauge',
    signal: 'saturation',
    help: 'Connections open, connected or not',
  },
  connectionsMax: {
    name: 'tidegate_connections_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Connections above which more are refused (TIDEGATE_CONNECTIONS_MAX)',
  },
  handshakes: {
    name: 'tidegate_handshakes',
    type: 'gauge',
    signal: 'saturation',
    help: 'Of these, those that have not said connect',
  },
  handshakesMax: {
    name: 'tidegate_handshakes_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Connections that have not said connect above which more are refused (TIDEGATE_HANDSHAKES_MAX)',
  },
  unsharedBytes: {
    name: 'tidegate_unshared_bytes',
    type: 'gauge',
    signal: 'saturation',
    help: 'Bytes of replies on their way to single sessions',
  },
  unsharedBytesMax: {
    name: 'tidegate_unshared_bytes_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Bytes above which reads of history are refused (TIDEGATE_UNSHARED_BYTES_MAX)',
  },
  inboxBytes: {
    name: 'tidegate_inbox_bytes',
    type: 'gauge',
    signal: 'saturation',
    help: 'Bytes of commands that wait for their sessions, where the WebSocket library cannot stop reading (uws)',
  },
  inboxBytesMax: {
    name: 'tidegate_inbox_bytes_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Bytes of waiting commands above which a session that adds to them ends (TIDEGATE_INBOXES_BYTES_MAX)',
  },
  appendQueue: {
    name: 'tidegate_append_queue_records',
    type: 'gauge',
    signal: 'saturation',
    help: 'Publishes that wait for the log',
  },
  appendQueueMax: {
    name: 'tidegate_append_queue_records_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Publishes above which more are refused (TIDEGATE_APPEND_QUEUE_RECORDS_MAX)',
  },
  appendQueueBytes: {
    name: 'tidegate_append_queue_bytes',
    type: 'gauge',
    signal: 'saturation',
    help: 'Bytes of publishes that wait for the log',
  },
  appendQueueBytesMax: {
    name: 'tidegate_append_queue_bytes_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Bytes above which more publishes are refused (TIDEGATE_APPEND_QUEUE_BYTES_MAX)',
  },
  dedupeEntries: {
    name: 'tidegate_dedupe_entries',
    type: 'gauge',
    signal: 'saturation',
    help: 'Recent publishes whose mid is remembered',
  },
  dedupeEntriesMax: {
    name: 'tidegate_dedupe_entries_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Remembered publishes above which more are refused',
  },
  hubRooms: {
    name: 'tidegate_hub_rooms',
    type: 'gauge',
    signal: 'saturation',
    help: 'Rooms with a member or a reader here',
  },
  timers: {
    name: 'tidegate_timers',
    type: 'gauge',
    signal: 'saturation',
    help: 'Timers running, such as heartbeats and graces',
  },
  lingering: {
    name: 'tidegate_lingering_sessions',
    type: 'gauge',
    signal: 'saturation',
    help: 'Sessions that were cut off and are still seen',
  },
  lingeringMax: {
    name: 'tidegate_lingering_sessions_max',
    type: 'gauge',
    signal: 'saturation',
    help: 'Lingering sessions above which the oldest one leaves early',
  },
  floodHeld: {
    name: 'tidegate_flood_held_sessions',
    type: 'gauge',
    signal: 'saturation',
    help: 'Sessions that are not read, because they went on far beyond their rates',
  },
  ...LOG_METRICS,
  ...PEER_METRICS,
  ...TRACE_METRICS,
  ...REDIS_METRICS,
  draining: {
    name: 'tidegate_draining',
    type: 'gauge',
    signal: 'saturation',
    help: '1 from the signal to end on, else 0',
  },
  ...PRESENCE_METRICS,

  buildInfo: {
    name: 'tidegate_build_info',
    type: 'gauge',
    signal: 'traffic',
    help: 'Always 1: what runs here',
    labels: { version: null, node_version: null },
  },
} as const satisfies Record<string, MetricEntry>;

export type MetricKey = keyof typeof METRICS;
