import type { Status, UserPresence, UserState } from '../protocol/presence-state.ts';

/** What one session of a user is: connected (or in its grace) with a status, or gone. Told by its own replica alone. */
export interface SessionChange {
  readonly user: string;
  /** The same for all of the session's changes, as is the user. */
  readonly device: string;
  /** Names the connection; unique over all replicas and times. */
  readonly session: string;
  /** null: this session is gone, and it alone; one that is not known stays so. */
  readonly state: SessionState | null;
  /**
   * It has just connected, and takes the place of those of its user and device on other replicas: see
   * {@link PresenceReplica.onReplaced}. Said of a session that is there already it has no meaning.
   */
  readonly isNew?: true;
  /**
   * Of one that is gone: its device leaves for good, and so leaves also where it was before on replicas that are gone,
   * which would be seen for their grace. What the user's other devices hold there stays.
   */
  readonly isLeaving?: true;
  /** Milliseconds since 1970 by its replica's clock: when the status was set, or when the gone session was last heard. */
  readonly atMs: number;
}

export interface SessionState {
  readonly status: Status;
  readonly text?: string;
  /** Its connection has ended, and it is in its grace: seen as before, but not counted among those connected. */
  readonly isCutOff?: true;
}

/** Whether a user is seen in a room through this replica: told for the first and the last of its sessions there only. */
export interface MemberChange {
  readonly room: string;
  readonly user: string;
  readonly present: boolean;
}

/** What changed on one replica. At most one change a session and one a room and user; the later one counts. */
export interface PresenceBatch {
  readonly sessions: readonly SessionChange[];
  readonly members: readonly MemberChange[];
}

/** How a room changed by one batch, by one user's change elsewhere, or in a way that names can't be given for. */
export interface RoomChange {
  readonly room: string;
  /** Rises with every change of the room or of somebody in it, and never falls, even if the room was empty. */
  readonly version: number;
  /** Users present, counted once whatever their devices. */
  readonly count: number;
  /**
   * Users as they are after the change; nobody is in two of the lists. `joined` and `left` are of the room: who
   * left may be online elsewhere. null: something changed, read the room to learn what.
   */
  readonly names: {
    readonly joined: readonly UserState[];
    readonly left: readonly UserState[];
    readonly changed: readonly UserState[];
  } | null;
  /** Count and names are known from this replica alone: others can't be asked just now. */
  readonly partial: boolean;
}

export interface RoomPresence {
  readonly count: number;
  readonly version: number;
  /** Ordered by the bytes of their names. */
  readonly users: readonly UserState[];
  /** There are others behind the last one. */
  readonly more: boolean;
  /** Known from this replica alone: others can't be asked just now. */
  readonly partial: boolean;
}

/** A device of a user, as its sessions have it. */
export interface DeviceState {
  readonly device: string;
  readonly status: Status;
  readonly text?: string;
  /** Milliseconds since 1970: when the status was set. */
  readonly atMs: number;
  /** One of its sessions is not cut off. */
  readonly isConnected: boolean;
}

export interface KnownUser extends UserPresence {
  /** Each of the devices, in no order. */
  readonly deviceStates: readonly DeviceState[];
  /** Present in one of the rooms that were asked about. */
  readonly isTogether: boolean;
  readonly partial: boolean;
}

/** What can be heard of: the changes of a room, or those of a user. */
export type Subject = { readonly room: string } | { readonly user: string };

/** The replica that a store serves. */
export interface PresenceReplica {
  /**
   * Everything that is so on this replica now, each session with the `atMs` that it has. Asked for when the
   * replica's lease was lost, or the store has forgotten what it knew: it is written under the new lease before
   * anything of the old one is dropped, so that nobody seems to leave.
   *
   * It takes its place among the batches at the time at which it is asked for, and what it doesn't name is gone. Of
   * batches that were to be written before, it holds all that has not changed since, so it doesn't matter which of
   * them took effect; one written later wins over it, and may say again what it holds. Other replicas' writes come
   * before or after alike: each session, and whether a user is in a room through this replica, is this one's alone.
   */
  everything(): PresenceBatch;
  /** A room of interest changed. In the order of versions; must not throw. */
  onRoomChange(change: RoomChange): void;
  /** A user of interest changed. In the order of versions; must not throw. */
  onUserChange(user: UserPresence): void;
  /**
   * One of this replica's sessions has lost its place to one of its device that has just connected to another replica.
   * It is there until this replica writes that it is gone. Where the store fails just then, it is not told. Must not throw.
   */
  onReplaced(user: string, session: string): void;
}

/**
 * Who is here, over all replicas.
 *
 * What a replica writes belongs to its lease, which the store renews by itself. A replica whose lease lapses (it
 * crashed, or was cut off) is reaped by the others once its grace has passed as well; nothing it wrote is left.
 * Should it come back it gets a new lease, and the store asks it for {@link PresenceReplica.everything}.
 *
 * A device is there as long as one of its sessions is, and a user is in a room as long as one replica says so. Each
 * session is added and removed by itself, so that no order of the replicas' writes matters. Within a device the session
 * whose status was set last counts, as `atMs` has it, then the first by name; of the devices the one with the
 * strongest status, then the one set last, then the first by name.
 */
export interface PresenceStore {
  /** Takes a lease and begins to report to the replica. Called once, first. */
  open(replica: PresenceReplica): Promise<void>;

  /**
   * Applies a batch, in the order of the calls. What changes by it is seen together, sessions before members: who
   * joins has the status of this batch, and who leaves as well is in `left` alone and not in `changed`. Watchers of
   * what changed are told with the version that the change made, whichever replica they are on; what changes
   * nothing that others see (a device's second session, a status below the first device's) makes no version.
   *
   * Resolves when others can see it. Cost: O(changes × rooms of the users whose state changed).
   *
   * @throws CommandError `unavailable`; the batch may or may not be seen, but takes no effect after a later one has.
   *   It is to be written again, which changes nothing if it was seen; without what has changed since, if that may
   *   have been written already.
   */
  write(batch: PresenceBatch): Promise<void>;

  /**
   * Reads up to `limit` (1–500) users of a room behind the name `after`, together with the version that this is
   * the state of: what changes later has a higher one. @throws CommandError `unavailable`
   */
  readRoom(room: string, after: string | undefined, limit: number): Promise<RoomPresence>;

  /**
   * Reads users, one each in the order asked for, known or not; and whether each is present in one of `rooms`.
   * @throws CommandError `unavailable`
   */
  readUsers(users: readonly string[], rooms: Iterable<string>): Promise<readonly KnownUser[]>;

  /**
   * Whether this replica wants to hear of a subject's changes. Resolves when every later change will be told, so
   * that what is read then and what is told afterwards leave no gap. Idempotent.
   */
  setInterest(subject: Subject, isInterested: boolean): Promise<void>;

  /** Gives the lease back: what this replica wrote is gone after the grace, as if it had crashed now. Idempotent. */
  close(): Promise<void>;
}
