import type { LoadOptions } from '../load-options.ts';
import type { Target } from '../target.ts';

const HEARTBEAT_MS = 2_000;
const HEARTBEAT_TIMEOUT_MS = 1_000;
const GRACE_MS = 2_000;
/** The interval between two heartbeats is so many times what is set, at most. */
const SPREAD = 1.2;
/** By default: 25 s × 1.2, 10 s for the answer, and 15 s of grace. */
const DEFAULT_BOUND_MS = 55_000;
/** From the end of a grace to the last push of it, on a busy machine. */
const TOLD_MS = 5_000;

/** Of replicas that are started to see how soon they find out who has vanished: as by default, but sooner. */
export const TIMES: Readonly<Record<string, string>> = {
  TIDEGATE_HEARTBEAT_MS: String(HEARTBEAT_MS),
  TIDEGATE_HEARTBEAT_TIMEOUT_MS: String(HEARTBEAT_TIMEOUT_MS),
  TIDEGATE_GRACE_MS: String(GRACE_MS),
};

/** By when whoever has vanished must be gone, in ms, unless told: of a gateway that was there, as it is by default. */
export function boundOf({ replicas }: Target, { presenceSeconds }: Pick<LoadOptions, 'presenceSeconds'>): number {
  if (presenceSeconds !== undefined) return presenceSeconds * 1000;
  const isOurs = replicas.every(({ pid }) => pid !== null);
  return TOLD_MS + (isOurs ? HEARTBEAT_MS * SPREAD + HEARTBEAT_TIMEOUT_MS + GRACE_MS : DEFAULT_BOUND_MS);
}
