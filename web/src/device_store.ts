import { leaderLock, storeOf } from "./engine/messages";

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
  await navigator.locks
    .request(leaderLock(account), { signal }, () => deleteStore(storeOf(account)))
    .catch((error: unknown) => {
      if (!signal.aborted) throw error;
      throw new Error("Another tab or window still has your documents open, so they are not erased. Close it, then sign in and erase them again.");
    });
}

function deleteStore(name: string): Promise<void> {
  const request = indexedDB.deleteDatabase(name);
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve();
    request.onerror = () => reject(new Error("The browser could not erase what it keeps. Its own settings can: erase this site's data there."));
    // It is erased once they let go, all the same.
    request.onblocked = () => reject(new Error("Another tab or window still has it open. Close it, and it is erased."));
  });
}

/** Whatever version it is of, and without making one that is not there. */
function openAsItIs(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name);
  request.onupgradeneeded = () => request.transaction?.abort();
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error("Nothing of it can be read in this browser."));
  });
}

function answer<T>(ask: () => IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = ask();
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("unreadable"));
  });
}

function base64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}
