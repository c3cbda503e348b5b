import type { Sheaf, SignedIn, Told } from "../wasm/sheaf_web";

// What pages, workers and tabs say to each other. A page and its own worker speak by `postMessage`, workers of one account
// over a BroadcastChannel; what is said is the same. A view's name begins with that of its tab.

/** What a page may ask of the engine: its own methods, and what they return. */
export const CALLS = [
  "signInSettings",
  "signedInAgain",
  "findAccount",
  "documents",
  "refreshDocuments",
  "create",
  "attach",
  "detach",
  "change",
  "undo",
  "redo",
  "select",
  "hidden",
  "setTitle",
  "addEditor",
  "removeEditor",
  "details",
  "timeline",
  "moment",
  "restore",
  "closeTimeline",
  "look",
] as const satisfies (keyof Sheaf)[];

export type Call = (typeof CALLS)[number];
export type Given<C extends Call> = Parameters<Sheaf[C]>;
export type Returned<C extends Call> = Awaited<ReturnType<Sheaf[C]>>;

/** Something asked. Nobody waits for the answer to number 0. */
export interface Request {
  id: number;
  call: Call;
  given: unknown[];
}

/** What the engine says to a tab. */
export type FromEngine =
  | { returned: { id: number; value: unknown } }
  /** In a sentence. */
  | { refused: { id: number; why: string } }
  | { view: string; told: Told[] }
  | { pong: true };

/** A request to the account's server, which only the page can sign. */
export interface ToSign {
  id: number;
  url: string;
  method: string;
  headers: [string, string][];
  body?: ArrayBuffer | undefined;
}

/** What came of it. */
export type Signed =
  | { id: number; status: number; headers: [string, string][]; body: ArrayBuffer }
  | { id: number; failed: { name: string; message: string } };

/** What a worker is told first. */
export interface Beginning {
  tab: string;
  config: string | undefined;
  account: SignedIn | undefined;
  visible: boolean;
  online: boolean;
}

export type ToWorker =
  | { begin: Beginning }
  | { request: Request }
  | { signed: Signed }
  | { visible: boolean }
  | { online: boolean }
  | { ping: true };

export type FromWorker =
  /** Whoever speaks for the account from now on. */
  | { leader: string }
  | { engine: FromEngine; leader: string }
  | { sign: ToSign }
  | { dropSigning: number }
  /** This worker is alive, whoever leads. */
  | { alive: true }
  /** The engine cannot start, in a sentence; `damaged` where what is kept on this device is the reason. */
  | { failed: string; damaged: boolean }
  /** The engine has ended by a mistake of its own. */
  | { stopped: true }
  /** Another tab has taken over: this worker has ended. */
  | { superseded: true };

export type OnChannel =
  /** A tab wants to know who leads. */
  | { hello: string }
  | { tab: string; request: Request }
  | { tab: string; ping: true }
  /** Somebody leads from now on; should they fall silent, others wait so long. */
  | { leader: string; patience: number }
  | { to: string; engine: FromEngine; leader: string };

/** Under which name the browser keeps what is an account's, or nobody's. */
export function storeOf(account: string | undefined): string {
  return account === undefined ? "sheaf" : `sheaf ${account}`;
}

/** Whoever holds this lock speaks for the account: nobody else writes to its store. */
export function leaderLock(account: string | undefined): string {
  return `sheaf leader ${account ?? ""}`;
}

/** The tab of a view. */
export function tabOf(view: string): string {
  return view.slice(0, view.indexOf(" "));
}
