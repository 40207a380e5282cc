import type { UserState } from './presence-state.ts';

/** A `presence` push of a room. Lists that would be empty are absent; without any, names are not told. */
export interface RoomPresencePush {
  readonly room: string;
  readonly version: number;
  readonly count: number;
  readonly partial: boolean;
  readonly joined?: readonly UserState[];
  readonly left?: readonly UserState[];
  readonly changed?: readonly UserState[];
}

/** A `presence` push of a watched user. */
export interface UserPresencePush extends UserState {
  readonly lastSeenMs: number;
}

/** Why a session is no longer in a room. */
export type LeftCode = 'forbidden' | 'kicked';
