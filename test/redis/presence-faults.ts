import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../faults/random.ts';
import type { PresenceClient } from './presence-client.ts';
import type { RedisPair } from './redis-pair.ts';

/** A run, as far as faults need it. */
export interface Stage {
  readonly pair: RedisPair;
  readonly prefix: string;
  readonly leaseMs: number;
  /** By then what crashed has been reaped. */
  readonly goneMs: number;
  /** Those that live. */
  readonly clients: readonly PresenceClient[];
  /** One that is not paused, and from now on is. */
  take(random: Random): PresenceClient;
  /** Somebody connects to it. */
  connect(client: PresenceClient): void;
  /** Something happens on it. */
  operate(client: PresenceClient): void;
  /** It is no more, and another one starts in its place. */
  replace(client: PresenceClient): Promise<void>;
}

/** What it leaves to chance it asks of `random`. */
export type Fault = (stage: Stage, random: Random) => Promise<void>;

/** So long a client may have had to hand what happened to its connection. */
const SENT_MS = 15;
const WRITTEN_MS = 100;

/** What befalls replicas. */
export const FAULTS_OF_REPLICAS: Readonly<Record<string, Fault>> = {
  /** Nobody hears of it any more. */
  async crash(stage: Stage, random: Random): Promise<void> {
    const client = stage.take(random);
    client.crash();
    client.proxy.cut();
    await stage.replace(client);
  },

  /** What it said last arrives when it has been taken for gone. */
  async crashWithLateWords(stage: Stage, random: Random): Promise<void> {
    const client = stage.take(random);
    await speakUnheard(stage, client);
    client.crash();
    await stage.replace(client);
    await delay(stage.goneMs);
    client.proxy.release();
  },

  async leave(stage: Stage, random: Random): Promise<void> {
    const client = stage.take(random);
    await client.close();
    await stage.replace(client);
  },

  async pauseWithinLease(stage: Stage, random: Random): Promise<void> {
    await pause(stage, random, stage.leaseMs * 0.6);
  },

  async pauseBeyondLease(stage: Stage, random: Random): Promise<void> {
    await pause(stage, random, stage.leaseMs * 1.3);
  },

  async pauseUntilGone(stage: Stage, random: Random): Promise<void> {
    await pause(stage, random, stage.goneMs);
  },

  /** Its connections hang, and what they hold arrives when it has others. */
  async stall(stage: Stage, random: Random): Promise<void> {
    const client = running(stage, random);
    client.proxy.setAside();
    speak(stage, client);
    await delay(random.int(SENT_MS, 2 * stage.leaseMs));
    client.proxy.release();
  },

  /** It is cut off until it has been taken for gone, then what it said before arrives. */
  async stallUntilGone(stage: Stage, random: Random): Promise<void> {
    const client = running(stage, random);
    await speakUnheard(stage, client);
    await delay(stage.goneMs);
    client.proxy.release();
  },

  async cut(stage: Stage, random: Random): Promise<void> {
    for (const { proxy } of stage.clients) if (random.next() < 0.6) proxy.cut();
  },
};

/** What befalls Redis as a whole. */
export const FAULTS_OF_REDIS: Readonly<Record<string, Fault>> = {
  async flush({ pair }: Stage): Promise<void> {
    await pair.ask('FLUSHALL');
  },

  async restartEmpty({ pair, leaseMs }: Stage, random: Random): Promise<void> {
    await pair.restart('nothing', random.int(0, leaseMs));
  },

  async restartFromSnapshot({ pair, leaseMs }: Stage, random: Random): Promise<void> {
    await pair.save();
    await delay(random.int(20, leaseMs));
    await pair.restart('snapshot', random.int(0, leaseMs));
  },

  /** The new primary has not been given all. */
  async failOver(stage: Stage, random: Random): Promise<void> {
    const { pair, leaseMs } = stage;
    pair.holdReplication();
    await delay(random.int(20, leaseMs));
    await pair.promote();
    await switchAll(stage, random);
  },

  /** As well it has lost what leads to what leases hold, and one of those who held it is gone meanwhile. */
  async failOverWithoutIndexes(stage: Stage, random: Random): Promise<void> {
    const client = stage.take(random);
    for (let i = 0; i < 3; i += 1) stage.connect(client);
    await delay(WRITTEN_MS);
    await drop(stage, (kind) => kind === 'x');
    await stage.pair.inSync();
    client.crash();
    client.proxy.cut();
    await stage.pair.promote();
    await switchAll(stage, random);
    await stage.replace(client);
  },

  /** Nothing is told for a while, and what was published then nobody has heard. */
  async deafen({ pair }: Stage): Promise<void> {
    await pair.ask('CLIENT', 'KILL', 'TYPE', 'pubsub');
  },

  async hang({ pair, leaseMs }: Stage, random: Random): Promise<void> {
    await pair.hang(random.int(100, 2 * leaseMs));
  },
};

/** What is lost of what is stored, and no server tells of. */
export const FAULTS_OF_KEYS: Readonly<Record<string, Fault>> = {
  async dropSome(stage: Stage, random: Random): Promise<void> {
    await drop(stage, () => random.next() < 0.2);
  },

  async dropKind(stage: Stage, random: Random): Promise<void> {
    const kind = random.pick(['gen', 'v', 'vf', 'rv', 'r', 'u', 'gone', 'leases', 'l', 'x', 'e', 'sweep']);
    await drop(stage, (each) => each === kind);
  },

  async dropKindOfTheDead(stage: Stage, random: Random): Promise<void> {
    const client = stage.take(random);
    await drop(stage, (kind) => kind === 'x');
    client.crash();
    client.proxy.cut();
    await stage.replace(client);
  },
};

function running({ clients }: Stage, random: Random): PresenceClient {
  return random.pick(clients.filter(({ isPaused }) => !isPaused));
}

function speak(stage: Stage, client: PresenceClient): void {
  stage.connect(client);
  for (let i = 0; i < 2; i += 1) stage.operate(client);
}

/** What happens on it now comes nowhere. */
async function speakUnheard(stage: Stage, client: PresenceClient): Promise<void> {
  client.proxy.hold();
  speak(stage, client);
  await delay(SENT_MS);
}

async function pause(stage: Stage, random: Random, ms: number): Promise<void> {
  const client = stage.take(random);
  await speakUnheard(stage, client);
  client.pause();
  await delay(ms);
  client.resume();
}

/** One after the other they are led to the new primary; the former one goes on until the last of them is there. */
async function switchAll({ pair, clients, leaseMs }: Stage, random: Random): Promise<void> {
  const togetherMs = random.next() < 0.5 ? 0 : random.int(0, leaseMs);
  for (const { proxy } of clients) {
    proxy.switchTo(pair.port);
    await delay(togetherMs / clients.length);
  }
  await pair.demote();
}

/** Deletes keys by their kind, the first word behind the prefix. */
async function drop({ pair, prefix }: Stage, isChosen: (kind: string) => boolean): Promise<void> {
  const keys = (await pair.ask('KEYS', `{${prefix}}:*`)) as string[];
  const chosen = keys.sort().filter((key) => isChosen(key.split(':')[1] ?? ''));
  if (chosen.length > 0) await pair.ask('DEL', ...chosen);
}
