import type { HttpOutcome, HttpPlan, HttpSteps, HttpTask } from '../http/http-plan.ts';
import { LoadFleet } from '../load-fleet.ts';
import type { LoadRun, Scenario } from '../load-run.ts';
import type { Replica } from '../target.ts';

const SLOT_MS = 500;
const ROOM = 'load-http';
/** In the reply of a page of history. */
const PAGE_MAX = 300;
const JSON_TYPE = { 'content-type': 'application/json' };
const TASKS = 6;
/** Of somebody else's page. */
const FOREIGN = { origin: 'https://foreign.example' };
const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGlkZWdhdGUgbG9hZC4uLg==',
};

interface History {
  readonly messages: readonly { readonly offset: number; readonly epoch: string }[];
  readonly more: boolean;
}

/** The chat page, the server API, and upgrades that are refused. */
export const HTTP: Scenario = {
  slotMsMin: SLOT_MS,

  env: () => ({}),

  plannedMs: ({ seconds }) => seconds * 1000 + 8_000,

  async run(run) {
    const { options, target, timeline, cores } = run;
    const [first] = target.replicas;
    const last = target.replicas.at(-1);
    if (!first?.url || !first.internal || !last?.internal) throw new Error('http needs --url and --internal');
    const plans = Array.from({ length: options.processes }, (): HttpPlan => {
      return { clock: timeline.clock, connections: Math.ceil(options.sessions / options.processes) };
    });
    const fleet = await LoadFleet.start<HttpSteps>('./http/http-load.ts', plans, cores, timeline);
    run.watch.begin(() => {});
    try {
      const from = timeline.slotNow;
      for (const task of tasksOf(first, last, (options.seconds * 1000) / TASKS)) {
        if (run.isStopping) break;
        run.say(task.name);
        run.moment(task.name);
        checkOutcomes(run, task, await fleet.all('request', task));
      }
      const offsets = (await fleet.all('published')).flat();
      await checkHistory(run, last.internal, offsets);
      await fleet.all('end');
      await run.figuresOfUse({ from, to: timeline.slotNow });
    } finally {
      await fleet.end();
    }
  },
};

/** With several replicas, published at the first and read at the last. */
function tasksOf(first: Replica, last: Replica, ms: number): HttpTask[] {
  const publicUrl = (path: string) => new URL(path, (first.url as string).replace(/^ws/, 'http')).href;
  const apiUrl = ({ internal }: Replica, path: string) => new URL(`/api/v1/${path}`, internal as string).href;
  const get = (name: string, url: string, headers: HttpTask['headers'] = {}, status = 200): HttpTask => {
    return { name, url, method: 'GET', headers, body: null, status, ms, isPublish: false, isTimed: true };
  };
  const publish: HttpTask = {
    ...get('API: publish', apiUrl(first, `rooms/${ROOM}/publish`), { ...JSON_TYPE, ...authorization() }),
    method: 'POST',
    body: JSON.stringify({ from: 'load', data: { text: 'tidegate '.repeat(12) } }),
    isPublish: true,
  };
  return [
    get('page', publicUrl('/')),
    publish,
    get('API: history', apiUrl(last, `rooms/${ROOM}/history?limit=50`), authorization()),
    get('API: presence', apiUrl(last, `rooms/${ROOM}/presence`), authorization()),
    { ...get('upgrade refused: foreign page', publicUrl('/ws'), { ...UPGRADE, ...FOREIGN }, 403), isTimed: false },
    get('upgrade refused: no upgrade', publicUrl('/ws'), {}, 426),
  ];
}

/** As the settings of the gateway have it. */
function authorization(): Readonly<Record<string, string>> {
  const key = process.env.TIDEGATE_API_KEYS?.split(',')[0];
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}

function checkOutcomes(run: LoadRun, { name, status, ms }: HttpTask, outcomes: readonly HttpOutcome[]): void {
  const answers = outcomes.reduce((sum, each) => sum + each.answers, 0);
  const errors = outcomes.reduce((sum, each) => sum + each.errors, 0);
  const others = outcomes.flatMap((each) => Object.entries(each.others));
  const found = [`${answers} of them`, ...others.map(([other, times]) => `${times} of ${other}`)];
  if (errors > 0) found.push(`${errors} without an answer`);
  run.check(`${name}: all answers are ${status}`, answers > 0 && others.length === 0 && errors === 0, found.join(', '));
  run.figure(`${name}, a second`, (answers * 1000) / ms, '/s');
}

/** What was acknowledged must stand in the room's history, each once, at its offset; nobody else publishes there. */
async function checkHistory(run: LoadRun, internal: string, published: readonly number[]): Promise<void> {
  const seen = await readHistory(internal);
  const acknowledged = new Set(published);
  const missing = [...acknowledged].filter((offset) => !seen.has(offset)).length;
  const doubled = published.length - acknowledged.size;
  run.check(
    'all that was acknowledged is in the history, once',
    missing === 0 && doubled === 0 && published.length > 0,
    `${published.length} acknowledged, ${seen.size} there, ${missing} missing, ${doubled} offsets given twice`,
  );
}

/** From the newest to the oldest. @throws Error where its offsets do not rise */
async function readHistory(internal: string): Promise<Set<number>> {
  const seen = new Set<number>();
  let before = '';
  for (let hasMore = true; hasMore; ) {
    const url = new URL(`/api/v1/rooms/${ROOM}/history?limit=${PAGE_MAX}${before}`, internal);
    const answer = await fetch(url, { headers: authorization() });
    if (!answer.ok) throw new Error(`${url.pathname} was answered with ${answer.status}`);
    const { messages, more } = (await answer.json()) as History;
    for (const [index, { offset }] of messages.entries()) {
      const next = messages[index + 1]?.offset ?? Number.POSITIVE_INFINITY;
      if (offset >= next || seen.has(offset)) throw new Error(`history has offset ${offset} where it can't be`);
      seen.add(offset);
    }
    const [oldest] = messages;
    before = `&before=${encodeURIComponent(`${oldest?.epoch}:${oldest?.offset}`)}`;
    hasMore = more && oldest !== undefined;
  }
  return seen;
}
