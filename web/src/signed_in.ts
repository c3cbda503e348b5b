import { answer, committed } from "./indexed_db";

// Who is signed in on this device, by name only: the keys and tokens are the OAuth client's. It is kept in the browser's database,
// on disk before anything goes on: what goes into its local storage some browsers write a minute later, and a browser that is
// killed by then would have forgotten.

/** Who is signed in. */
export interface SignedIn {
  did: string;
  handle?: string;
  pds: string;
  /** When, in milliseconds since 1970: signing in again is news to other tabs. */
  since: number;
}

const DATABASE = "sheaf.signed-in";
const TABLE = "kept";
const KEY = "who";

/** Tells the other tabs that it has changed. */
const channel = new BroadcastChannel(DATABASE);

/** Who is signed in, if anybody is. */
export async function whoIsSignedIn(): Promise<SignedIn | undefined> {
  try {
    return parse(await inDatabase((database) => answer<unknown>(() => database.transaction(TABLE).objectStore(TABLE).get(KEY))));
  } catch {
    // A browser that keeps nothing for this page: the engine has its own words for that.
    return undefined;
  }
}

/** From now on it is this account, or nobody; for good, when this returns. */
export async function keepSignedIn(who: SignedIn | undefined): Promise<void> {
  await inDatabase((database) => {
    const transaction = database.transaction(TABLE, "readwrite", { durability: "strict" });
    transaction.objectStore(TABLE).put(who ?? null, KEY);
    return committed(transaction);
  }).catch((cause: unknown) => {
    throw new Error("This browser does not let the page keep who is signed in.", { cause });
  });
  channel.postMessage(null);
}

/** Another tab has signed in or out. */
export function onSignedIn(listener: () => void): void {
  channel.onmessage = listener;
}

async function inDatabase<T>(work: (database: IDBDatabase) => Promise<T>): Promise<T> {
  const database = await answer(() => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    return request;
  });
  try {
    return await work(database);
  } finally {
    database.close();
  }
}

function parse(value: unknown): SignedIn | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { did, handle, pds, since } = value as Record<string, unknown>;
  if (typeof did !== "string" || typeof pds !== "string") return undefined;
  const who = { did, pds, since: typeof since === "number" ? since : 0 };
  return typeof handle === "string" ? { ...who, handle } : who;
}
