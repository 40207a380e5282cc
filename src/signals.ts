/** A second signal this long after the first one means it; npm may pass one signal on twice. */
const SECOND_SIGNAL_MS = 1_000;

/**
 * Calls back with the first of these signals. A later one is of somebody who doesn't want to wait.
 *
 * @param onSecond what becomes of that; by default, the end at once, with 1
 */
export function onFirstSignal(
  names: readonly NodeJS.Signals[],
  callback: (signal: NodeJS.Signals) => void,
  onSecond: () => void = () => process.exit(1),
): void {
  let signalledMs: number | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    if (signalledMs !== null) {
      if (performance.now() - signalledMs >= SECOND_SIGNAL_MS) onSecond();
      return;
    }
    signalledMs = performance.now();
    callback(signal);
  };
  for (const name of names) process.on(name, onSignal);
}
