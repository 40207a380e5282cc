import type { Grants } from '../../identity/grants.ts';
import type { TokenVerifier } from '../../identity/token-verifier.ts';
import type { DeviceState } from '../../presence/presence-store.ts';
import type { PresenceTracker } from '../../presence/presence-tracker.ts';
import type { ConnectCommand, RefreshCommand } from '../../protocol/commands.ts';
import { CommandError } from '../../protocol/errors.ts';
import type { ConnectReply } from '../../protocol/replies.ts';
import { randomName } from '../../random-name.ts';
import type { Session } from '../session.ts';
import { addressKey, type SessionRegistry } from '../session-registry.ts';
import type { UserDevices } from '../user-devices.ts';

/** What `connect`'s reply says of the node, the same for every session. */
export type NodeFacts = Omit<ConnectReply, 'session' | 'user' | 'device' | 'expiresAtMs'>;

export interface ConnectContext {
  readonly registry: SessionRegistry;
  readonly tracker: PresenceTracker;
  readonly devices: UserDevices;
  readonly facts: NodeFacts;
  /** null: access is anonymous. */
  readonly verifier: TokenVerifier | null;
  /** What anonymous sessions may do. */
  readonly anonymousGrants: (user: string) => Grants;
  /** Sessions of one address on this node; 0: as many as come. */
  readonly sessionsPerAddressMax: number;
}

/** Gives a session its user and device. A live session of the same two is replaced; a refused one ends. */
export function connect(session: Session, command: ConnectCommand, context: ConnectContext): Promise<void> | undefined {
  if (session.state !== 'unconnected') throw new CommandError('bad_request', 'op: connected already');
  const { verifier, devices } = context;
  const device = command.device ?? `device-${randomName(8, 'hex')}`;
  if (verifier !== null) return connectLater(session, command, device, verified(command, verifier), context);
  const user = command.user ?? `guest-${randomName(4, 'hex')}`;
  const identity = { user, device, grants: context.anonymousGrants(user) };
  // Who has just been given a name is nowhere else.
  if (devices.areShared && command.user !== undefined) {
    return connectLater(session, command, device, Promise.resolve(identity), context);
  }
  const reply = orRefuse(session, command.id, () => admit(session, command, identity, [], context));
  if (reply !== null) session.reply('connect', command.id, reply);
  return undefined;
}

/** Puts a newer token in the place of the session's: its rights, and its time. */
export async function refresh(
  session: Session,
  { id, token }: RefreshCommand,
  { verifier }: ConnectContext,
  onNewGrants: (session: Session) => Promise<void>,
): Promise<void> {
  if (verifier === null) throw new CommandError('bad_request', 'op: access is anonymous, there is no token to refresh');
  const done = session.gate.identifyBegun();
  try {
    const { user, grants, expiresAtMs } = await verifier.verify(token);
    if (session.state === 'ended') return;
    if (user !== session.user) throw new CommandError('unauthorized', 'token: sub is another user');
    session.refreshed(grants);
    session.liveness.expiresAt(expiresAtMs);
    await onNewGrants(session);
    session.reply('refresh', id, { expiresAtMs });
  } finally {
    done();
  }
}

interface Verified {
  readonly user: string;
  readonly grants: Grants;
  readonly expiresAtMs?: number;
}

interface Admitted extends Verified {
  readonly device: string;
}

/** Who a token says that the client is. @throws CommandError */
async function verified({ token, user }: ConnectCommand, verifier: TokenVerifier): Promise<Verified> {
  if (token === undefined) throw new CommandError('unauthorized', 'token: missing');
  const identity = await verifier.verify(token);
  if (user !== undefined && user !== identity.user) {
    throw new CommandError('unauthorized', 'user: must be absent or equal to the sub of the token');
  }
  return identity;
}

/** While others are asked who the client is, and where else it is, its next commands wait. */
async function connectLater(
  session: Session,
  command: ConnectCommand,
  device: string,
  verified: Promise<Verified>,
  context: ConnectContext,
): Promise<void> {
  const { devices } = context;
  const done = session.gate.identifyBegun();
  try {
    const identity = await verified.catch(asRefusal);
    const isKnown = !(identity instanceof CommandError);
    const known = isKnown && devices.areShared ? await devices.of(identity.user, device) : [];
    if (session.state === 'ended') return;
    const reply = orRefuse(session, command.id, () => {
      if (!isKnown) throw identity;
      return admit(session, command, { ...identity, device }, known, context);
    });
    // Who connects elsewhere behind the reply must find this one there, or this one, told later, would take its place.
    if (command.device !== undefined) await devices.told();
    if (reply !== null) session.reply('connect', command.id, reply);
  } finally {
    done();
  }
}

/** Lets the session in, and gives what it is told. `known`: the user's devices, as far as other replicas are known. */
function admit(
  session: Session,
  command: ConnectCommand,
  admitted: Admitted,
  known: readonly DeviceState[],
  context: ConnectContext,
): ConnectReply {
  const { user, device, grants, expiresAtMs } = admitted;
  const { registry, tracker, devices, facts, sessionsPerAddressMax } = context;
  const replaced = registry.get(user, device);
  devices.requireRoom(user, device, known);
  const address = addressKey(session.remoteAddress);
  const isReplacedThere = replaced !== undefined && addressKey(replaced.remoteAddress) === address;
  const ofAddress = registry.countOfAddress(address) - (isReplacedThere ? 1 : 0);
  if (sessionsPerAddressMax > 0 && ofAddress >= sessionsPerAddressMax) {
    throw new CommandError('limit_exceeded', `your address: ${sessionsPerAddressMax} sessions are connected already`);
  }
  replaced?.disconnect('replaced');
  const heartbeats = session.hasHeartbeats && !(session.framing.name === 'ndjson' && command.heartbeat === false);
  session.connected({ user, device, grants }, heartbeats);
  registry.connected(session);
  session.tracked = tracker.connected(
    user,
    device,
    session.id,
    known.find((each) => each.device === device),
  );
  if (expiresAtMs !== undefined) session.liveness.expiresAt(expiresAtMs);
  return {
    ...facts,
    session: session.id,
    user,
    device,
    heartbeatMs: heartbeats ? facts.heartbeatMs : 0,
    ...(expiresAtMs !== undefined && { expiresAtMs }),
  };
}

/** A session whose `connect` is refused for who it is, and not for how it asked, ends with the refusal; then it gives null. */
function orRefuse(session: Session, id: number, connect: () => ConnectReply): ConnectReply | null {
  try {
    return connect();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const isUnauthorized = error.code === 'unauthorized';
    if (!isUnauthorized && error.code !== 'limit_exceeded') throw error;
    session.fail(id, error);
    session.disconnect(isUnauthorized ? 'invalid_token' : 'connection_limit');
    return null;
  }
}

function asRefusal(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  throw error;
}
