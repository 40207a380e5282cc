/** A load process of raw sessions, whose every byte is verified. Started with a StreamPlan; does the steps of StreamSteps. */
import { setTimeout as sleep } from 'node:timers/promises';
import { wireOf } from '../clients/wires.ts';
import { answerSteps } from '../load-conversation.ts';
import { Population } from '../population.ts';
import { PublishSchedule } from '../publish-schedule.ts';
import { Recorder } from '../recorder.ts';
import type { StreamPlan, StreamSteps } from './stream-plan.ts';

const DRAIN_MS_MAX = 15_000;
const POLL_MS = 5;
/** What must not come after the last delivery would come by then: a duplicate, say. */
const QUIET_MS = 200;

answerSteps((plan: StreamPlan, tell, fail): StreamSteps => {
  const { clock, wire, host, ports, addresses, shape, presence } = plan;
  const population = new Population(ports, wireOf(wire, { presence }), shape, fail, { host, addresses });
  const { window } = population;
  const told = { publications: 0, deliveries: 0, presences: 0 };
  const recorder = new Recorder(clock, tell, () => {
    const now = { publications: window.sent, deliveries: population.deliveries, presences: population.presences };
    recorder.sum('publications', now.publications - told.publications);
    recorder.sum('deliveries', now.deliveries - told.deliveries);
    recorder.sum('presence pushes', now.presences - told.presences);
    Object.assign(told, now);
    recorder.latencies('deliver', population.latencies);
    recorder.latencies('acknowledge', window.answerHistogram);
    population.clearLatencies();
  });
  const schedule = new PublishSchedule(window, 'woken', fail);

  return {
    async gather() {
      await population.connect();
      recorder.count('came online', population.sessions.length);
    },
    publish: ({ perSecond }) => schedule.setRate(perSecond),
    publishOpen({ window: limit }) {
      window.limit = limit;
      window.planFlush();
    },
    publishOnce: () => window.publishOnce(0, shape.rooms * shape.publishersPerRoom),
    stopReading({ share }) {
      const listeners = population.sessions.filter(({ isPublisher }) => !isPublisher);
      const slow = listeners.slice(0, Math.ceil(population.sessions.length * share));
      for (const session of slow) session.stopReading();
      return slow.length;
    },
    async finish() {
      schedule.stop();
      window.limit = 0;
      const deadlineMs = performance.now() + DRAIN_MS_MAX;
      while (window.open > 0 && performance.now() < deadlineMs) await sleep(POLL_MS);
      await sleep(QUIET_MS);
      population.verify();
      return { deliveries: population.deliveries, publications: window.sent };
    },
    async checkPresence({ rooms }) {
      const checked = Math.min(shape.rooms, rooms);
      for (let index = 0; index < checked; index++) {
        await population.checkPresence(Math.floor((index * shape.rooms) / checked));
      }
      return checked;
    },
    async end() {
      recorder.end();
      population.close();
      // What it tells last is to arrive before the answer.
      await sleep(0);
    },
  };
});
