// Keeps the page's own files, so that it opens without a network or a gateway, and says what is wrong. Newer files win
// whenever they can be had.

const worker = self as unknown as ServiceWorkerGlobalScope;

const CACHE = 'tidegate-shell';
const SHELL = ['/', '/chat.js', '/client.js', '/chat.css', '/icon.svg'];

worker.addEventListener('install', (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      await cache.addAll(SHELL.map((path) => new Request(path, { cache: 'no-cache' })));
      await worker.skipWaiting();
    })(),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(worker.clients.claim());
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin || !SHELL.includes(pathname)) return;
  event.respondWith(networkFirst(event, pathname));
});

async function networkFirst(event: FetchEvent, path: string): Promise<Response> {
  try {
    const response = await fetch(event.request);
    // Whatever the query says, it is the same file. The page need not wait until it is kept.
    if (response.ok) event.waitUntil(keep(path, response.clone()));
    return response;
  } catch (error) {
    const known = await caches.match(path, { cacheName: CACHE });
    if (known === undefined) throw error;
    return known;
  }
}

async function keep(path: string, response: Response): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.put(path, response);
}
