import type { Status, UserState } from './presence-state.ts';

/** One device's share of what its user is. */
export interface DeviceStatus {
  readonly device: string;
  readonly status: Status;
  readonly text?: string;
  /** Milliseconds since 1970: when the status was set. */
  readonly atMs: number;
}

const STRENGTH: Readonly<Record<Status, number>> = { dnd: 3, online: 2, away: 1 };

/** A user as others see them. Depends on the devices alone, not on their order. Cost: O(devices). */
export function aggregate(user: string, devices: readonly DeviceStatus[]): UserState {
  let telling = devices[0];
  if (telling === undefined) return { user, status: 'offline', devices: 0 };
  for (const each of devices) if (outweighs(each, telling)) telling = each;
  const { status, text } = telling;
  return text === undefined
    ? { user, status, devices: devices.length }
    : { user, status, text, devices: devices.length };
}

/** Whether others see no difference between two states of one user. */
export function seenAlike(a: UserState, b: UserState): boolean {
  return a.status === b.status && a.text === b.text && a.devices === b.devices;
}

/** The stronger status, then the one set later, then the first by name, so that all who aggregate agree. */
function outweighs(a: DeviceStatus, b: DeviceStatus): boolean {
  if (a.status !== b.status) return STRENGTH[a.status] > STRENGTH[b.status];
  if (a.atMs !== b.atMs) return a.atMs > b.atMs;
  return a.device < b.device;
}
