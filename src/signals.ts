/** A second signal this long after the first one means it; npm may pass one signal on twice. */
const SECOND_SIGNAL_MS = 1_000;

/** Calls back with the first of these signals. A later one, of somebody who doesn't want to wait, exits with 1. */
export function onFirstSignal(names: readonly NodeJS.Signals[], callback: (signal: NodeJS.Signals) => void): void {
  let signalledMs: number | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    if (signalledMs !== null) {
      if (performance.now() - signalledMs >= SECOND_SIGNAL_MS) process.exit(1);
      return;
    }
    signalledMs = performance.now();
    callback(signal);
  };
  for (const name of names) process.on(name, onSignal);
}
