/** A load process of HTTP requests, by autocannon. Started with an HttpPlan; does the steps of HttpSteps. */
import { setTimeout as sleep } from 'node:timers/promises';
import autocannon, { type Options } from 'autocannon';
import { answerSteps } from '../load-conversation.ts';
import { Recorder } from '../recorder.ts';
import type { HttpOutcome, HttpPlan, HttpSteps, HttpTask } from './http-plan.ts';

const MS_A_SECOND = 1_000;

answerSteps(({ clock, connections }: HttpPlan, tell): HttpSteps => {
  const recorder = new Recorder(clock, tell);
  const offsets: number[] = [];

  async function request(task: HttpTask): Promise<HttpOutcome> {
    const others: Record<string, number> = {};
    let answers = 0;
    let errors = 0;
    const { method, headers, body, isPublish, isTimed } = task;
    const options: Options = {
      url: task.url,
      connections,
      duration: task.ms / MS_A_SECOND,
      requests: [
        {
          method,
          headers: { ...headers },
          ...(body !== null && { body }),
          onResponse(status: number, text: string) {
            if (isPublish && status === task.status) offsets.push((JSON.parse(text) as { offset: number }).offset);
          },
        },
      ],
    };
    await new Promise<void>((resolve, reject) => {
      const run = autocannon(options, (error: unknown) => (error ? reject(error as Error) : resolve()));
      run.on('response', (_, status, __, ms) => {
        recorder.count('requests');
        if (isTimed) recorder.latency(task.name, ms * 1_000);
        if (status === task.status) answers += 1;
        else others[status] = (others[status] ?? 0) + 1;
      });
      run.on('reqError', () => {
        errors += 1;
      });
    });
    return { answers, others, errors };
  }

  return {
    request,
    published: () => offsets,
    async end() {
      recorder.end();
      // What it tells last is to arrive before the answer.
      await sleep(0);
    },
  };
});
