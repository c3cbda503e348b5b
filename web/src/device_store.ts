import { leaderLock, storeOf } from "./engine/messages";
import { answer } from "./indexed_db";

// What an account's engine keeps is the engine's. Here it is only carried away whole, or thrown away: when the engine cannot read it any
// more, or when somebody wants nothing left on this device.

/** What somebody finds who opens the file. */
const ABOUT = "What Sheaf kept in this browser, as far as it could be read. Values are in Base64; text is in them in pieces.";

/** Whatever can still be read of a store, in whichever state it is. */
export async function salvage(account: string | undefined): Promise<Blob> {
  const name = storeOf(account);
  const database = await openAsItIs(name);
  const entries: { table: string; key: unknown; value: unknown }[] = [];
  const unreadable: string[] = [];
  try {
    for (const table of database.objectStoreNames) {
      let keys: IDBValidKey[] = [];
      try {
        keys = await answer(() => database.transaction(table).objectStore(table).getAllKeys());
      } catch (error) {
        unreadable.push(`${table}: ${String(error)}`);
      }
      for (const key of keys) {
        // Keys that this device signs with are of no use to anybody else, and not for a file that is sent around.
        if (typeof key === "string" && key.startsWith("secret/")) continue;
        try {
          // One by one: what cannot be read takes nothing else along.
          const value = await answer<unknown>(() => database.transaction(table).objectStore(table).get(key));
          entries.push({ table, key, value: value instanceof Uint8Array ? base64(value) : value });
        } catch (error) {
          unreadable.push(`${table}: ${JSON.stringify(key)}: ${String(error)}`);
        }
      }
    }
    const saved = { about: ABOUT, store: name, version: database.version, entries, unreadable };
    return new Blob([JSON.stringify(saved, null, 1)], { type: "application/json" });
  } finally {
    database.close();
  }
}

/** Other tabs of the account end their engines when they hear that it is gone from here. One that has not by then hangs, or sleeps. */
const PATIENCE_MS = 15_000;

/**
 * Throws a store away, once no tab has an engine that writes to it. Who waited for the lock before us gets it before us: a tab that
 * has not heard yet that its account is gone from here.
 */
export async function erase(account: string | undefined): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const late = new Promise<never>((_, reject) => {
    const why = "Another tab or window keeps Sheaf from erasing your documents here. Close it, then sign in and erase them again.";
    signal.addEventListener("abort", () => reject(new Error(why)));
  });
  // Once it is begun, the lock is held until it is done, however late: no engine must come in between.
  const erased = navigator.locks.request(leaderLock(account), { signal }, () => answer(() => indexedDB.deleteDatabase(storeOf(account))));
  await Promise.race([erased, late]);
}

/** Whatever version it is of, and without making one that is not there. */
function openAsItIs(name: string): Promise<IDBDatabase> {
  return answer(() => {
    const request = indexedDB.open(name);
    request.onupgradeneeded = () => request.transaction?.abort();
    return request;
  }).catch((cause: unknown) => {
    throw new Error("Nothing of it can be read in this browser.", { cause });
  });
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
