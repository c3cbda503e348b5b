import { engine } from "./engine";
import type { OAuth } from "./oauth";
import { closeAll } from "./open_document.svelte";
import { HOME, place, signInFor } from "./routes.svelte";
import type { Sheaf } from "./wasm/sheaf_web";
import { RELOAD, sentence } from "./words";

/** Who is signed in. Kept by name only; the keys and tokens are the OAuth client's. */
interface SignedIn {
  did: string;
  handle?: string;
  pds: string;
  /** When, in milliseconds since 1970: signing in again is news to other tabs. */
  since: number;
}

const KEPT = "sheaf.account";

class CurrentAccount {
  who = $state.raw<SignedIn | undefined>();
  /** Why the last attempt to sign in failed. */
  problem = $state("");
  /** The account changes: documents close, and none opens until that is done. */
  leaving = $state(false);
  /** Whether the engine knows who is signed in; documents open after that. */
  ready: Promise<Sheaf>;

  private oauth: Promise<OAuth> | undefined;

  constructor() {
    this.ready = this.start();
    // Signing in or out in one tab is true in all of them.
    addEventListener("storage", (event) => {
      if (event.key === KEPT || event.key === null) void this.follow();
    });
  }

  get name(): string {
    return this.who?.handle ?? this.who?.did ?? "";
  }

  /** Leaves for the account's own sign-in page. */
  async signIn(handle: string, then: string): Promise<void> {
    this.problem = "";
    const sheaf = await engine();
    const account = await sheaf.findAccount(handle);
    const oauth = await this.client(sheaf);
    const address = await oauth.begin(account, then);
    await closeAll();
    location.assign(address);
    // The page is about to go; until it does, there is nothing else to do.
    await new Promise((resolve) => addEventListener("pageshow", resolve, { once: true }));
  }

  /** How many changes on this device would wait there until the account signs in again. */
  async waiting(): Promise<number> {
    const documents = await (await this.ready).documents();
    return documents.reduce((sum, document) => sum + document.waiting, 0);
  }

  async signOut(): Promise<void> {
    const did = this.who?.did;
    const sheaf = await this.ready;
    place.go(HOME);
    this.leaving = true;
    await closeAll();
    localStorage.removeItem(KEPT);
    this.who = undefined;
    try {
      await sheaf.signedOut();
    } catch (error) {
      this.problem = sentence(error);
    } finally {
      this.leaving = false;
      if (did) void this.revoke(sheaf, did);
    }
  }

  private async revoke(sheaf: Sheaf, did: string): Promise<void> {
    try {
      await (await this.client(sheaf)).signOut(did);
    } catch {
      // The server cannot be told now; the session is gone from this device all the same.
    }
  }

  /** Another tab has signed in or out. */
  private async follow(): Promise<void> {
    const now = kept();
    if (now && now.did === this.who?.did) {
      if (now.since === this.who.since) return;
      this.who = now;
      // The same account with a new session: what waits in open documents goes out.
      await this.introduce(await this.ready, now);
    } else if (now || this.who) {
      this.leaving = true;
      await closeAll();
      location.reload();
    }
  }

  private async start(): Promise<Sheaf> {
    const callback = callbackParams();
    const sheaf = await engine();
    if (callback) await this.arrive(sheaf, callback);
    else this.who = kept();
    if (this.who) await this.introduce(sheaf, this.who);
    return sheaf;
  }

  /** Back from the account's sign-in page. */
  private async arrive(sheaf: Sheaf, params: URLSearchParams): Promise<void> {
    place.go(HOME, "replace");
    try {
      const oauth = await this.client(sheaf);
      const { did, pds, then } = await oauth.finish(params);
      const account = await sheaf.findAccount(did).catch(() => undefined);
      this.who = { did, pds, since: Date.now(), ...(account?.handle ? { handle: account.handle } : {}) };
      localStorage.setItem(KEPT, JSON.stringify(this.who));
      if (then) place.go(then, "replace");
    } catch (error) {
      this.problem = sentence(error);
      this.who = kept();
      // Whether or not somebody is still signed in: there it says what went wrong, and leads on to where one came from.
      place.go(signInFor(thenOf(error)), "replace");
    }
  }

  private async introduce(sheaf: Sheaf, { did, handle, pds }: SignedIn): Promise<void> {
    // The OAuth client is loaded when the engine first writes: opening a document never waits for it.
    let authed: ((url: string, init: RequestInit) => Promise<Response>) | undefined;
    await sheaf.signedIn(did, handle, pds, async (url, init) => {
      authed ??= (await this.client(sheaf)).fetchFor(did, pds);
      return authed(url, init);
    });
  }

  private client(sheaf: Sheaf): Promise<OAuth> {
    this.oauth ??= loadClient(sheaf);
    this.oauth.catch(() => (this.oauth = undefined));
    return this.oauth;
  }
}

async function loadClient(sheaf: Sheaf): Promise<OAuth> {
  const { OAuth } = await import("./oauth").catch((cause: unknown) => {
    throw new Error(RELOAD, { cause });
  });
  return OAuth.load(sheaf);
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

function kept(): SignedIn | undefined {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEPT) ?? "null");
    if (typeof value !== "object" || value === null) return undefined;
    const { did, handle, pds, since } = value as Record<string, unknown>;
    if (typeof did !== "string" || typeof pds !== "string") return undefined;
    const who = { did, pds, since: typeof since === "number" ? since : 0 };
    return typeof handle === "string" ? { ...who, handle } : who;
  } catch {
    return undefined;
  }
}

export const account = new CurrentAccount();
