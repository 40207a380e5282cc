import { buildDashboard } from './dashboard.ts';
import { HERD } from './herd.ts';
import { NODE_RUNTIME } from './node-runtime.ts';
import { OVERVIEW } from './overview.ts';
import { PRESENCE } from './presence.ts';
import { ROOMS_AND_LOG } from './rooms-and-log.ts';

/** Where Grafana's files are, for which this is the source. */
export const FOLDER = new URL('grafana/dashboards/', import.meta.url);

export const PLANS = [OVERVIEW, PRESENCE, ROOMS_AND_LOG, HERD, NODE_RUNTIME];

/** File names, and what is in each. */
export function dashboardFiles(): Map<string, string> {
  return new Map(PLANS.map((plan) => [`${plan.name}.json`, `${JSON.stringify(buildDashboard(plan), null, 2)}\n`]));
}
