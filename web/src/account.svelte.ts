import { engine } from "./engine";
import type { OAuth } from "./oauth";
import { HOME, place, signInFor } from "./routes.svelte";
import type { Sheaf } from "./wasm/sheaf_web";
import { sentence } from "./words";

/** Who is signed in. Kept by name only; the keys and tokens are the OAuth client's. */
interface SignedIn {
  did: string;
  handle?: string;
  pds: string;
}

const KEPT = "sheaf.account";

class CurrentAccount {
  who = $state.raw<SignedIn | undefined>();
  /** Why the last attempt to sign in failed. */
  problem = $state("");
  /** Whether the engine knows who is signed in; documents open after that. */
  ready: Promise<Sheaf>;

  private oauth: Promise<OAuth> | undefined;

  constructor() {
    this.ready = this.start();
    // Signing in or out in one tab is true in all of them.
    addEventListener("storage", (event) => {
      if (event.key === KEPT && event.newValue !== event.oldValue) location.reload();
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
    location.assign(await oauth.begin(account, then));
    // The page is about to go; until it does, there is nothing else to do.
    await new Promise((resolve) => addEventListener("pageshow", resolve, { once: true }));
  }

  async signOut(): Promise<void> {
    const did = this.who?.did;
    localStorage.removeItem(KEPT);
    this.who = undefined;
    const sheaf = await this.ready;
    await sheaf.signedOut();
    place.go(HOME);
    if (did) {
      try {
        await (await this.client(sheaf)).signOut(did);
      } catch {
        // The server cannot be told now; the session is gone from this device all the same.
      }
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
      this.who = account?.handle ? { did, pds, handle: account.handle } : { did, pds };
      localStorage.setItem(KEPT, JSON.stringify(this.who));
      if (then) place.go(then, "replace");
    } catch (error) {
      this.problem = sentence(error);
      this.who = kept();
      if (!this.who) place.go(signInFor(HOME), "replace");
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
    this.oauth ??= import("./oauth").then(({ OAuth }) => OAuth.load(sheaf));
    this.oauth.catch(() => (this.oauth = undefined));
    return this.oauth;
  }
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
    const { did, handle, pds } = value as Record<string, unknown>;
    if (typeof did !== "string" || typeof pds !== "string") return undefined;
    return typeof handle === "string" ? { did, pds, handle } : { did, pds };
  } catch {
    return undefined;
  }
}

export const account = new CurrentAccount();
