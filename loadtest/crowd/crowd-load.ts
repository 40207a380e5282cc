/** A load process of clients by the SDK. Started with a CrowdPlan as its argument; does the steps of CrowdSteps. */
import { setTimeout as sleep } from 'node:timers/promises';
import { answerSteps } from '../load-conversation.ts';
import { Recorder, type Sample } from '../recorder.ts';
import { Churn } from './churn.ts';
import { Crowd } from './crowd.ts';
import type { ChurnTask, CrowdPlan, CrowdSteps } from './crowd-plan.ts';
import { Entrance } from './entrance.ts';
import { FaultCount } from './fault-count.ts';
import { Network } from './network.ts';

answerSteps((plan: CrowdPlan, tell: (sample: Sample) => void, fail: (error: Error) => void): CrowdSteps => {
  const { shape, urls, addresses, clock, presence, process: number } = plan;
  const recorder = new Recorder(clock, tell);
  const entrance = new Entrance(urls, number);
  const network = new Network(entrance, addresses, recorder);
  const faults = new FaultCount();
  const url = urls[0] as string;
  const crowd = new Crowd(shape, { network, recorder, faults, url, presence }, fail);
  const churn = new Churn(crowd, fail);
  return {
    gather: ({ perSecond }) => crowd.gather(perSecond),
    publish: ({ perSecond }) => crowd.publish(perSecond),
    settle: ({ quietMs }) => crowd.settle(quietMs),
    mark: () => crowd.mark(),
    returns: () => crowd.returns(),
    online: () => crowd.online,
    enter: ({ areReady }) => entrance.update(areReady),
    churn: (task: ChurnTask) => churn.begin(task),
    endChurn: () => churn.end(),
    async dismiss({ share, how }) {
      // Spread evenly, so that all rooms lose about as many.
      const going = crowd.members.filter((_, index) => Math.floor((index + 1) * share) > Math.floor(index * share));
      await Promise.all(going.map((member) => crowd.dismiss(member, how)));
      return going.length;
    },
    presence: () => crowd.askPresence(),
    async finish() {
      crowd.finish();
      recorder.end();
      // What it tells last is to arrive before the answer.
      await sleep(0);
      return faults.all;
    },
    close: () => crowd.close(),
  };
});
