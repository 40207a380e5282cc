import { loadPresenceScripts, type PresenceScripts } from '../../src/redis/presence-scripts.ts';
import type { Script } from '../../src/redis/redis-link.ts';

/** A line of a script, and what stands in its place where a rule is switched off. */
interface Change {
  readonly line: string;
  readonly instead: string;
}

export type Rule = 'lease-check' | 'sweep' | 'replid' | 'cursor';

const ANY_LEASE = {
  line: "if not held[1] or tonumber(held[1]) <= now then return { 'lapsed' } end",
  instead: 'held[2] = held[2] or 0',
};

/** What each rule is in the scripts. */
const RULES: Readonly<Record<Rule, Partial<Record<keyof PresenceScripts, Change>>>> = {
  'lease-check': { write: ANY_LEASE, anew: ANY_LEASE },
  sweep: {
    lease: {
      line: 'local isSweepDue = sweep[1] ~= gen.id or now - tonumber(sweep[2] or 0) >= sweepMs',
      instead: 'local isSweepDue = false',
    },
  },
  replid: { lease: { line: "return replid .. '/' .. run", instead: "return 'the same'" } },
  cursor: {
    sweep: {
      line: "local found = redis.call('SCAN', cursor, 'MATCH', P .. '[ur]:*', 'COUNT', chunk)",
      instead: "local found = redis.call('SCAN', '0', 'MATCH', P .. '[ur]:*', 'COUNT', chunk)",
    },
  },
};

export const RULE_NAMES = Object.keys(RULES) as readonly Rule[];

export function isRule(name: string): name is Rule {
  return name in RULES;
}

/** Scripts that keep all rules but one. */
export function scriptsWithout(rule: Rule): PresenceScripts {
  const scripts = loadPresenceScripts();
  const changes = Object.entries(RULES[rule]) as [keyof PresenceScripts, Change][];
  return { ...scripts, ...Object.fromEntries(changes.map(([name, to]) => [name, change(scripts[name], to)])) };
}

/** @throws Error where the line is not there once */
function change(script: Script, to: Change): Script {
  const [before, after, ...more] = script.lua.split(to.line);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`${script.name} does not have this line once: ${to.line}`);
  }
  return { ...script, lua: `${before}${to.instead}${after}` };
}
