import { configuration, remember } from "./engine/configuration";
import { Engine } from "./engine/engine";
import type { OAuth } from "./oauth";
import { allSafe, closeAll } from "./open_document.svelte";
import { HOME, place, signInFor } from "./routes.svelte";
import { keepSignedIn, onSignedIn, whoIsSignedIn, type SignedIn } from "./signed_in";
import { RELOAD, sentence } from "./words";

class CurrentAccount {
  who = $state.raw<SignedIn | undefined>();
  /** Why the last attempt to sign in failed. */
  problem = $state("");
  /** The account changes: documents close, and none opens until that is done. */
  leaving = $state(false);
  /** The engine of whoever is signed in, or of nobody. */
  ready = $state.raw() as Promise<Engine>;

  private oauth: Promise<OAuth> | undefined;
  /** `fetch` with the session's proof, once it was needed. */
  private authed: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
  private readonly configuration = configuration();

  constructor() {
    this.ready = this.start();
    // Signing in or out in one tab is true in all of them.
    onSignedIn(() => void this.follow());
  }

  get name(): string {
    return this.who?.handle ?? this.who?.did ?? "";
  }

  /** Leaves for the account's own sign-in page. */
  async signIn(handle: string, then: string): Promise<void> {
    this.problem = "";
    const engine = await this.ready;
    const account = await engine.ask("findAccount", handle);
    const oauth = await this.client(engine);
    const address = await oauth.begin(account, then);
    await closeAll();
    location.assign(address);
    // The page is about to go; until it does, there is nothing else to do.
    await new Promise((resolve) => addEventListener("pageshow", resolve, { once: true }));
  }

  /** How many changes on this device would wait there until the account signs in again. */
  async waiting(): Promise<number> {
    const documents = await (await this.ready).ask("documents");
    return documents.reduce((sum, document) => sum + document.waiting, 0);
  }

  /** Ends the session here; with `erasing`, so that nothing of the account stays on this device. */
  async signOut(erasing = false): Promise<void> {
    const did = this.who?.did;
    const engine = await this.ready;
    place.go(HOME);
    this.leaving = true;
    await closeAll();
    this.who = undefined;
    engine.end();
    // It asks the engine about handles.
    this.oauth = this.authed = undefined;
    this.ready = this.begin();
    try {
      // Each is done, whatever becomes of the other.
      const work = [this.ready, keepSignedIn(undefined), did && erasing ? eraseStore(did) : Promise.resolve()] as const;
      const [begun, ...rest] = await Promise.allSettled(work);
      if (begun.status === "fulfilled" && did) void this.revoke(begun.value, did);
      for (const one of [begun, ...rest]) if (one.status === "rejected") throw one.reason;
    } catch (error) {
      this.problem = sentence(error);
    } finally {
      this.leaving = false;
    }
  }

  private async revoke(engine: Engine, did: string): Promise<void> {
    try {
      await (await this.client(engine)).signOut(did);
    } catch {
      // The server cannot be told now; the session is gone from this device all the same.
    }
  }

  /** The page is loaded again, with nothing lost: a newer Sheaf has taken over, in every tab. */
  async beginAnew(): Promise<void> {
    await allSafe();
    this.leaving = true;
    await closeAll();
    location.reload();
  }

  /** Another tab has signed in or out. */
  private async follow(): Promise<void> {
    const now = await whoIsSignedIn();
    if (now && now.did === this.who?.did) {
      if (now.since === this.who.since) return;
      this.who = now;
      // The same account with a new session: what waits in open documents goes out, whichever tab leads.
      this.authed = undefined;
      await (await this.ready).ask("signedInAgain", now);
    } else if (now || this.who) {
      this.leaving = true;
      await closeAll();
      location.reload();
    }
  }

  private async start(): Promise<Engine> {
    const callback = callbackParams();
    if (callback) {
      const nobodys = await this.begin();
      await this.arrive(nobodys, callback);
      if (!this.who) return nobodys;
      nobodys.end();
      this.oauth = undefined;
    } else {
      this.who = await whoIsSignedIn();
    }
    return this.begin();
  }

  /** An engine for whoever is signed in, or for nobody. */
  private async begin(): Promise<Engine> {
    const config = await this.configuration;
    const who = this.who && { did: this.who.did, pds: this.who.pds, ...(this.who.handle ? { handle: this.who.handle } : {}) };
    const engine: Engine = new Engine(config, who, async (url, init) => {
      // The OAuth client is loaded when the engine first writes: opening a document never waits for it.
      if (!who) throw new TypeError("nobody is signed in");
      this.authed ??= (await this.client(engine)).fetchFor(who.did, who.pds);
      return this.authed(url, init);
    });
    await engine.ready;
    if (config !== undefined) remember(config);
    return engine;
  }

  /** Back from the account's sign-in page. */
  private async arrive(engine: Engine, params: URLSearchParams): Promise<void> {
    place.go(HOME, "replace");
    try {
      const oauth = await this.client(engine);
      const { did, pds, then } = await oauth.finish(params);
      const account = await engine.ask("findAccount", did).catch(() => undefined);
      const who = { did, pds, since: Date.now(), ...(account?.handle ? { handle: account.handle } : {}) };
      await keepSignedIn(who);
      this.who = who;
      if (then) place.go(then, "replace");
    } catch (error) {
      this.problem = sentence(error);
      this.who = await whoIsSignedIn();
      // Whether or not somebody is still signed in: there it says what went wrong, and leads on to where one came from.
      place.go(signInFor(thenOf(error)), "replace");
    }
  }

  private client(engine: Engine): Promise<OAuth> {
    this.oauth ??= loadClient(engine);
    this.oauth.catch(() => (this.oauth = undefined));
    return this.oauth;
  }
}

async function eraseStore(did: string): Promise<void> {
  const { erase } = await import("./device_store").catch((cause: unknown) => {
    throw new Error(RELOAD, { cause });
  });
  await erase(did);
}

async function loadClient(engine: Engine): Promise<OAuth> {
  const { OAuth } = await import("./oauth").catch((cause: unknown) => {
    throw new Error(RELOAD, { cause });
  });
  return OAuth.load(engine);
}

/** Where a sign-in that failed was to lead; the failure carries it along, where it is known. */
function thenOf(error: unknown): string {
  const then = error instanceof Error && "then" in error ? error.then : undefined;
  return typeof then === "string" && then !== "" ? then : HOME;
}

/** What the sign-in page returned, if this is a return: it comes in the fragment, which for a page of ours starts with `/`. */
function callbackParams(): URLSearchParams | undefined {
  if (location.hash.startsWith("#/")) return undefined;
  const params = new URLSearchParams(location.hash.slice(1));
  return params.has("state") && (params.has("code") || params.has("error")) ? params : undefined;
}

export const account = new CurrentAccount();
