/** That it was asked already, whatever the answer: some browsers ask the person, who is not to be asked twice. */
const ASKED = "sheaf.lasting";

let asked = false;

/**
 * Asks the browser not to throw away what this device keeps when it needs room. Called when there is something of one's own to
 * lose; who writes never waits for it, and a no is no trouble: what is published is in the account.
 */
export function askToLast(): void {
  if (asked) return;
  asked = true;
  void ask().catch(() => {});
}

async function ask(): Promise<void> {
  if (localStorage.getItem(ASKED) !== null || (await navigator.storage.persisted())) return;
  localStorage.setItem(ASKED, "");
  await navigator.storage.persist();
}
