/** What `tidegate chat` ends with. */
export const EXIT = {
  /** Everything was acknowledged, or it was asked to end. */
  ok: 0,
  /** Something was refused, or nobody knows whether it was published. */
  failed: 1,
  usage: 2,
  /** The gateway could not be reached for as long as one was willing to wait, or wants no session with us. */
  unreachable: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
