// The app without a network: this keeps one whole build of it in the browser, and answers with that.
//
// It answers for the built files alone, and always from the build it is of, so that pages of one browser never mix two builds.
// Everything else passes by as if it were not there: `config.json`, what servers are told of the app, and all that is said
// to them. What is written is none of its business; that is in the engine's store.

declare const self: ServiceWorkerGlobalScope;

/** Put in by the build: the name of this build, and the SHA-256 of each of its files by the path from the app's folder. */
declare const BUILD: { version: string; files: Record<string, string> };

const { version, files: sums } = BUILD;
const { scope } = self.registration;
/** Other apps may live on this origin, and other Sheafs in folders of it. No address has a space in it. */
const PREFIX = `sheaf app ${scope} `;
const KEPT = PREFIX + version;

/** The page is asked for by its folder: some hosts redirect from `index.html` to there, and no redirect may answer a navigation. */
const files = new Map(
  Object.entries(sums).map(([path, sum]) => [new URL(path === "index.html" ? "./" : path, scope).href, sum]),
);

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(begin()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  const address = request.mode === "navigate" ? page(request.url) : request.url;
  if (address !== undefined && files.has(address)) event.respondWith(answer(address, request));
});

// A newer build waits until all pages of the older are gone, or until a page asks: see `newer.ts`.
self.addEventListener("message", ({ data }) => {
  if (data === "skipWaiting") void self.skipWaiting();
});

/**
 * Keeps all of the build or nothing. The sums refuse a host that is just being changed, or that answers for what it does not
 * have; the browser tries again later, and the build before this one goes on answering.
 */
async function keep(): Promise<void> {
  const kept = await caches.open(KEPT);
  await kept.addAll([...files].map(([address, integrity]) => new Request(address, { cache: "reload", integrity })));
}

/**
 * From now on this build answers, and the ones before it go. A page of an older build may want another piece of that and not
 * find it; so all pages begin anew when this happens (`newer.ts`), rather than keep the older build for them: the tabs of an
 * account share one engine, and two builds of one app need not understand each other.
 */
async function begin(): Promise<void> {
  const { installing, waiting } = self.registration;
  // What a still newer one has put by is not ours to throw away; it will see to this itself.
  if (!installing && !waiting) {
    const older = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== KEPT);
    await Promise.all(older.map((name) => caches.delete(name)));
  }
  // The page that brought this worker has what it needs from now on, too.
  await self.clients.claim();
}

/** The page lives at one address, whatever is in its query; every other one in this folder is somebody else's. */
function page(address: string): string | undefined {
  const { origin, pathname } = new URL(address);
  const place = origin + pathname;
  return place === scope || place === `${scope}index.html` ? scope : undefined;
}

async function answer(address: string, request: Request): Promise<Response> {
  const kept = await caches.open(KEPT);
  // The browser may have thrown it away when it needed room.
  return (await kept.match(address, { ignoreVary: true })) ?? fetch(request);
}
