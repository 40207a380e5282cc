import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { tabDevice } from '../../../src/client/tab-device.ts';

const KEY = 'tidegate.device';

/** What outlives a page of a tab, and is copied with the tab. */
let storage: Map<string, string>;
/** Of the page that is loaded. */
let listeners: Map<string, (() => void)[]>;

beforeEach(() => {
  storage = new Map();
  loadPage();
});

afterEach(() => {
  vi.unstubAllGlobals();
});

/** A page begins, in the tab with that storage. */
function loadPage(): void {
  const own = new Map<string, (() => void)[]>();
  listeners = own;
  const ownStorage = storage;
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => ownStorage.get(key) ?? null,
    setItem: (key: string, value: string) => ownStorage.set(key, value),
    removeItem: (key: string) => ownStorage.delete(key),
  });
  vi.stubGlobal('addEventListener', (type: string, listener: () => void) => {
    own.set(type, [...(own.get(type) ?? []), listener]);
  });
}

function dispatch(type: string): void {
  for (const listener of listeners.get(type) ?? []) listener();
}

it('is a name that the server takes, and another one in each tab', () => {
  const first = tabDevice();
  storage = new Map();
  loadPage();
  const second = tabDevice();
  expect(first).toMatch(/^[A-Za-z0-9_.:@/-]{1,64}$/);
  expect(second).not.toBe(first);
});

it('outlives a reload', () => {
  const device = tabDevice();
  dispatch('pagehide');
  loadPage();
  expect(tabDevice()).toBe(device);
});

it('is not in the storage while a page has it, and so not copied with the tab', () => {
  const device = tabDevice();
  expect(storage.get(KEY)).toBeUndefined();
  storage = new Map(storage);
  loadPage();
  expect(tabDevice()).not.toBe(device);
});

it('is taken out of the storage by the page that comes after a reload as well', () => {
  tabDevice();
  dispatch('pagehide');
  expect(storage.get(KEY)).toBeDefined();
  loadPage();
  tabDevice();
  expect(storage.get(KEY)).toBeUndefined();
});

it('is taken out again by a page that comes back from the cache', () => {
  const device = tabDevice();
  dispatch('pagehide');
  dispatch('pageshow');
  expect(storage.get(KEY)).toBeUndefined();
  dispatch('pagehide');
  loadPage();
  expect(tabDevice()).toBe(device);
});

it('is a new one each time where a page may store nothing', () => {
  const refuse = () => {
    throw new Error('SecurityError');
  };
  vi.stubGlobal('sessionStorage', { getItem: refuse, setItem: refuse, removeItem: refuse });
  const device = tabDevice();
  expect(device).toMatch(/^[A-Za-z0-9_.:@/-]{1,64}$/);
  expect(tabDevice()).not.toBe(device);
  expect(listeners.size).toBe(0);
});
