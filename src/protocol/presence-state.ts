/** What a person says of themself on one device. */
export const STATUSES = ['online', 'away', 'dnd'] as const;
export type Status = (typeof STATUSES)[number];

/** A user as others see them: one status, whatever the number of devices. */
export interface UserState {
  readonly user: string;
  /** The strongest of the devices' statuses: dnd before online before away; `offline` without a device. */
  readonly status: Status | 'offline';
  /** The text of the device whose status it is; the one set last where several have it. */
  readonly text?: string;
  /** Devices that are connected, or whose grace has not passed. */
  readonly devices: number;
}

/** A user by themself, not as a member of a room. */
export interface UserPresence extends UserState {
  /** Milliseconds since 1970: the time of reading for a user with a device, else of the end of the last one; 0 if not known. */
  readonly lastSeenMs: number;
  /** Rises with every change of this user, and never falls. */
  readonly version: number;
}
