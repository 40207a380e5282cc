import type { DisconnectReason } from '../protocol/disconnects.ts';

/** Something said to whoever is in a room just now. */
export interface Signal {
  readonly room: string;
  readonly from: string;
  /** JSON text, as strict as a command's: it is spliced into what sessions are sent. */
  readonly data: string;
}

/** A user's sessions are to be ended, taken out of a room, or not waited for any more. */
export type Removal =
  | {
      readonly op: 'disconnect';
      readonly user: string;
      readonly reason: DisconnectReason;
      /** Printable ASCII, said in place of the reason's name. */
      readonly words?: string | undefined;
    }
  | { readonly op: 'kick'; readonly user: string; readonly room: string }
  | {
      /** What is in its grace of a device that has left for good, or a room; of no living session. */
      readonly op: 'forget';
      readonly user: string;
      readonly device: string;
      readonly room?: string | undefined;
    };

/** What became of a removal. */
export interface Removed {
  /** How many living sessions it was, where that is known. */
  readonly sessions: number;
  /** There are replicas that have not said how many it was there, or may not have heard of it. */
  readonly partial: boolean;
}

/** The replica that hears its peers. */
export interface PeerListener {
  /** Of a room of interest. Must not throw. */
  onSignal(signal: Signal): void;
  /** Returns how many living sessions it was here. Must not throw. */
  onRemoval(removal: Removal): number;
}

/**
 * The other replicas, as far as they tell one another what has no place in the log: at most once, in no order, and not
 * at all while what is between them is down. What a replica says it does not hear itself.
 */
export interface Peers {
  /** Resolves when this replica is heard of and hears, or will do so as soon as it can be. Called once, first. */
  open(listener: PeerListener): Promise<void>;

  /** Whether signals of a room are to be heard here: from some moments later on. Idempotent. */
  setInterest(room: string, isInterested: boolean): void;

  /** Tells those who are interested in its room. Never waits: what is too much just now is not said. */
  signal(signal: Signal): void;

  /** Has the others do it. Resolves when all of them have said so, and after a second at the latest. */
  remove(removal: Removal): Promise<Removed>;

  /** Hears and says no more. Idempotent. */
  close(): void;
}
