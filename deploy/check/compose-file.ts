import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Renderer } from './renderer.ts';

/** Of a service in a Compose file, as Compose has loaded it, what is looked at here. */
export interface ComposeService {
  readonly image: string;
  readonly restart?: string;
  readonly command?: readonly string[] | null;
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: object;
  readonly hostname?: string;
  /** Bytes. */
  readonly mem_limit?: string;
  readonly networks: Readonly<Record<string, unknown>>;
  readonly ports?: readonly { readonly host_ip?: string; readonly target: number }[];
  /** As `1m30s`. */
  readonly stop_grace_period?: string;
  /** `source`: of a bind mount an absolute path. */
  readonly volumes?: readonly { readonly type: string; readonly source: string; readonly target: string }[];
}

export interface ComposeProject {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks: Readonly<
    Record<
      string,
      { readonly internal?: boolean; readonly ipam?: { readonly config?: readonly { subnet?: string }[] } }
    >
  >;
}

/** Loads compose.yml as Compose would with `env` for its .env. @throws Error with Compose's words */
export async function loadCompose(renderer: Renderer, env: string): Promise<ComposeProject> {
  const folder = mkdtempSync(join(tmpdir(), 'tidegate-compose-'));
  try {
    const envFile = join(folder, 'env');
    writeFileSync(envFile, env);
    return await renderer.render<ComposeProject>('compose', 'compose.yml', envFile);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Milliseconds of what Compose writes as `1m30s`. */
export function durationMs(text: string): number {
  const [, minutes = '0', seconds = '0'] = /^(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
  return (Number(minutes) * 60 + Number(seconds)) * 1_000;
}
