import type { SlotClock } from '../recorder.ts';

/** What a load process of HTTP requests is told, in plain JSON. */
export interface HttpPlan {
  readonly clock: SlotClock;
  readonly connections: number;
}

/** Requests that are repeated on all connections for a time. */
export interface HttpTask {
  readonly name: string;
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** What each answer must have. */
  readonly status: number;
  readonly ms: number;
  /** Whether each answer says where something has come to stand, and is to be remembered. */
  readonly isPublish: boolean;
  /** False where each answer ends its connection: autocannon's time has connecting anew in it then. */
  readonly isTimed: boolean;
}

export interface HttpOutcome {
  readonly answers: number;
  /** Answers of another status, by that status. */
  readonly others: Readonly<Record<string, number>>;
  /** Requests without an answer: connections that broke, or took too long. */
  readonly errors: number;
}

export interface HttpSteps extends Readonly<Record<string, (argument: never) => unknown>> {
  readonly request: (task: HttpTask) => Promise<HttpOutcome>;
  /** Offsets that publishes were answered with. */
  readonly published: () => readonly number[];
  readonly end: () => Promise<void>;
}
