import { globalEnvironment, page } from './environment.ts';

const KEY = 'tidegate.device';

/**
 * A name for this browser tab as a device. It outlives a reload, so that others see nobody come and go, and a duplicated
 * tab gets one of its own: the name is only in storage while no page lives that has it. Where a page may store nothing,
 * each has a new one. Call it once a page.
 */
export function tabDevice(): string {
  const { makeId } = globalEnvironment;
  try {
    const device = sessionStorage.getItem(KEY) ?? makeId();
    const take = () => sessionStorage.removeItem(KEY);
    take();
    page.addEventListener?.('pageshow', take);
    page.addEventListener?.('pagehide', () => sessionStorage.setItem(KEY, device));
    return device;
  } catch {
    return makeId();
  }
}
