import { LeaseReplica } from './presence-leases.ts';
import type { PresencePace, SchemeName } from './presence-plan.ts';
import type { SchemeReplica } from './presence-scheme.ts';
import { TtlReplica } from './presence-ttls.ts';

export function openReplica(
  scheme: SchemeName,
  url: string,
  pace: PresencePace,
  fail: (error: Error) => void,
): Promise<SchemeReplica> {
  return scheme === 'leases' ? LeaseReplica.open(url, pace) : TtlReplica.open(url, pace, fail);
}
