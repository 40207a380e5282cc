import type { Grants } from '../identity/grants.ts';

/** Who a session is, and what it may do. */
export interface SessionIdentity {
  readonly user: string;
  readonly device: string;
  readonly grants: Grants;
}
