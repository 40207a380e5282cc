import type { Status, UserPresence, UserState } from './presence-state.ts';

/**
 * What one device of a user is through this replica: connected (or in its grace) with a status, or gone. A device
 * that has meanwhile come back under another session is not touched by the older session's end.
 */
export interface DeviceChange {
  readonly user: string;
  readonly device: string;
  /** Names the connection; unique over all replicas and times. */
  readonly session: string;
  /** null: this session is gone. */
  readonly state: DeviceState | null;
  /** Milliseconds since 1970: when the status was set, or when the gone session was last heard. */
  readonly atMs: number;
}

export interface DeviceState {
  readonly status: Status;
  readonly text?: string;
}

/** Whether a user is seen in a room through this replica: told for the first and the last of its sessions only. */
export interface MemberChange {
  readonly room: string;
  readonly user: string;
  readonly present: boolean;
}

/** What changed on one replica. At most one change a device and one a room and user; the later one counts. */
export interface PresenceBatch {
  readonly devices: readonly DeviceChange[];
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

export interface KnownUser extends UserPresence {
  /** Present in one of the rooms that were asked about. */
  readonly isTogether: boolean;
  readonly partial: boolean;
}

/** What can be heard of: the changes of a room, or those of a user. */
export type Subject = { readonly room: string } | { readonly user: string };

/** The replica that a store serves. */
export interface PresenceReplica {
  /**
   * Everything that is so on this replica now, as if all of it had just begun. Asked for when the replica's lease
   * was lost, or the store has forgotten what it knew: it is written again before anything of the old is dropped,
   * so that nobody seems to leave.
   */
  everything(): PresenceBatch;
  /** A room of interest changed. In the order of versions; must not throw. */
  onRoomChange(change: RoomChange): void;
  /** A user of interest changed. In the order of versions; must not throw. */
  onUserChange(user: UserPresence): void;
}

/**
 * Who is here, over all replicas.
 *
 * What a replica writes belongs to its lease, which the store renews by itself. A replica whose lease lapses (it
 * crashed, or was cut off) is reaped by the others once its grace has passed as well; nothing it wrote is left.
 * Should it come back it gets a new lease, and the store asks it for {@link PresenceReplica.everything}.
 *
 * A device belongs to the session that wrote it last, on whichever replica; a user is a member of a room as long as
 * one replica says so.
 */
export interface PresenceStore {
  /** Takes a lease and begins to report to the replica. Called once, first. */
  open(replica: PresenceReplica): Promise<void>;

  /**
   * Applies a batch, in the order of the calls. What changes by it is seen together, devices before members: who
   * joins has the status of this batch, and who leaves as well is in `left` alone and not in `changed`. Watchers of
   * what changed are told with the version that the change made, whichever replica they are on; what changes
   * nothing that others see (the second device's status below the first one's) makes no version.
   *
   * Resolves when others can see it. Cost: O(changes × rooms of the users whose state changed).
   *
   * @throws CommandError `unavailable`; the batch may or may not be seen, and is to be written again.
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
