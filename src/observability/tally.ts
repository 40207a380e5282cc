import type { RateName } from '../limits/session-limits.ts';
import type { Command } from '../protocol/commands.ts';
import type { DisconnectReason } from '../protocol/disconnects.ts';
import type { ErrorCode } from '../protocol/errors.ts';
import { METRICS } from './catalogue.ts';
import { Distribution } from './distribution.ts';

/** How a session ended: by a disconnect, or by its client's doing. */
export type SessionEnd = DisconnectReason | 'left' | 'input_ended' | 'lost';

/** Why a connection got no session. */
export type ConnectionRefusal = (typeof METRICS.connectionsRefused.labels.reason)[number];

export type Counts<Label extends string> = Record<Label, number>;

/**
 * What the process has done since its start, in plain numbers that whoever does it adds to: no label is looked up and
 * nothing is made on the way of a message. `metrics.ts` reads them when somebody asks.
 */
export class Tally {
  readonly publishAppend = new Distribution(METRICS.publishAppend.buckets);
  readonly appendDeliver = new Distribution(METRICS.appendDeliver.buckets);
  readonly tailDeliver = new Distribution(METRICS.tailDeliver.buckets);
  readonly connect = new Distribution(METRICS.connect.buckets);
  readonly join = new Distribution(METRICS.join.buckets);
  readonly probe = new Distribution(METRICS.probe.buckets);

  /** How many users rooms' pushes of presence named. */
  readonly presenceChanges = new Distribution(METRICS.presenceChanges.buckets);

  readonly commands: Counts<Command['op']> = zeros(METRICS.commands.labels.op);
  publications = 0;
  deliveries = 0;
  signalPushes = 0;
  signalsShed = 0;
  /** Joins with a position, by where what was missed came from. */
  readonly resumes = Object.fromEntries(
    METRICS.resumes.labels.source.map((source) => [source, zeros(METRICS.resumes.labels.outcome)]),
  ) as Record<(typeof METRICS.resumes.labels.source)[number], Counts<'recovered' | 'gap'>>;
  /** Of lines, their line feeds included. */
  bytesReceived = 0;
  readonly connections = zeros(METRICS.connectionsAccepted.labels.transport);

  readonly errors: Counts<ErrorCode> = zeros(METRICS.errors.labels.code);
  readonly ends: Counts<SessionEnd> = zeros(METRICS.disconnects.labels.reason);
  readonly refusals: Counts<ConnectionRefusal> = zeros(METRICS.connectionsRefused.labels.reason);
  readonly rateLimited: Counts<RateName> = zeros(METRICS.rateLimited.labels.bucket);
  readonly tokensRefused = zeros(METRICS.tokensRefused.labels.reason);
  probeFailures = 0;

  /** What Redis was asked for and has answered. */
  readonly redisCalls = distributions(METRICS.redisCall.labels.call, METRICS.redisCall.buckets);

  /** Sessions that are not read, because they have used up even their refusals. */
  floodHeld = 0;

  readonly api = METRICS.apiRequests.labels.call.map((call) => ({
    call,
    took: new Distribution(METRICS.apiRequest.buckets),
    statuses: zeros(METRICS.apiRequests.labels.status),
  }));
}

function zeros<Label extends string>(labels: readonly Label[]): Counts<Label> {
  return Object.fromEntries(labels.map((label) => [label, 0])) as Counts<Label>;
}

function distributions<Label extends string>(labels: readonly Label[], bounds: readonly number[]) {
  return Object.fromEntries(labels.map((label) => [label, new Distribution(bounds)])) as Record<Label, Distribution>;
}
