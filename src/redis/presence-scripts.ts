import type { Script } from './redis-link.ts';
import { loadScript } from './scripts.ts';

/** What presence does in Redis, each in one step. */
export interface PresenceScripts {
  readonly lease: Script;
  readonly write: Script;
  readonly anew: Script;
  readonly release: Script;
  readonly reap: Script;
  readonly sweep: Script;
  readonly readRoom: Script;
  readonly readUsers: Script;
  readonly compare: Script;
}

const COMMON = 'presence-common';
const EDIT = [COMMON, 'presence-edit'] as const;

export function loadPresenceScripts(): PresenceScripts {
  return {
    lease: loadScript('presence-lease', COMMON),
    write: loadScript('presence-write', ...EDIT),
    anew: loadScript('presence-anew', ...EDIT),
    release: loadScript('presence-release', COMMON),
    reap: loadScript('presence-reap', ...EDIT),
    sweep: loadScript('presence-sweep', ...EDIT),
    readRoom: loadScript('presence-read-room', COMMON),
    readUsers: loadScript('presence-read-users', COMMON),
    compare: loadScript('presence-compare', COMMON),
  };
}
