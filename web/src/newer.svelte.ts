import { account } from "./account.svelte";
import { allSafe } from "./open_document.svelte";

/** A page that stays open for days asks this often whether there is a newer Sheaf, when it is looked at again. */
const ASK_EVERY_MS = 60 * 60_000;

/** A newer Sheaf, kept whole on this device already, that waits until somebody wants it. */
class Newer {
  /** The one on offer. */
  waiting = $state.raw<ServiceWorker | undefined>();

  /** Later: when the page is opened the next time, or another one comes. */
  dismiss(): void {
    this.waiting = undefined;
  }

  /** Once everything written in this tab is safe, the newer one takes over; then every tab begins anew. */
  async use(): Promise<void> {
    const { waiting } = this;
    if (!waiting) return;
    await allSafe();
    // It may have been replaced by one that is newer still: beginning anew finds that.
    if (waiting.state !== "installed") {
      location.reload();
      return;
    }
    waiting.addEventListener("statechange", () => {
      if (waiting.state === "redundant") location.reload();
    });
    waiting.postMessage("skipWaiting");
  }
}

export const newer = new Newer();

/** Has the app kept on this device, so that it opens without a network, and looks out for newer ones. */
export async function keepApp(): Promise<void> {
  const { serviceWorker } = navigator;
  let controlled = serviceWorker.controller !== null;
  serviceWorker.addEventListener("controllerchange", () => {
    // The first one ever is of the build that is here already.
    if (controlled) void account.beginAnew();
    controlled = true;
  });
  const registration = await serviceWorker.register("./sw.js", { updateViaCache: "none" });
  if (registration.waiting) newer.waiting = registration.waiting;
  const follow = () => {
    const { installing } = registration;
    installing?.addEventListener("statechange", () => {
      if (installing.state === "installed" && registration.active) newer.waiting = installing;
    });
  };
  follow();
  registration.addEventListener("updatefound", follow);

  let asked = performance.now();
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || performance.now() - asked < ASK_EVERY_MS) return;
    asked = performance.now();
    // Without a network there is nothing new.
    registration.update().catch(() => {});
  });
}
