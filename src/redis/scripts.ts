import { readFileSync } from 'node:fs';
import type { Script } from './redis-link.ts';

/** A script of this folder's `lua/`, behind others whose functions it uses. */
export function loadScript(name: string, ...before: readonly string[]): Script {
  return { name, lua: [...before, name].map(read).join('\n') };
}

function read(name: string): string {
  return readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
}
