// A document that is opened again shows its text as it was last seen, and can be written in, while the engine still reads it.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { makeWorld, settled, until } from "./world.mjs";

const ENGINE = /\/sheaf_web_bg[^/]*\.wasm/;
const GO_ON = "the test lets the engine go on";

/**
 * In the engine's worker: to read a document, the engine takes a lock first, and has to wait for that; and whether the device's store can
 * be read then.
 */
function hold(goOn) {
  const request = navigator.locks.request.bind(navigator.locks);
  const go = new Promise((resolve) => {
    new BroadcastChannel(goOn).onmessage = ({ data: readable }) => {
      if (!readable)
        IDBDatabase.prototype.transaction = () => {
          throw new DOMException("the test has broken it", "UnknownError");
        };
      resolve();
    };
  });
  navigator.locks.request = (name, ...rest) => (name.startsWith("slot/") ? go.then(() => request(name, ...rest)) : request(name, ...rest));
}

describe("a text as it was last seen", () => {
  let world, alice, bob, link;

  before(async () => {
    world = await makeWorld();
    [alice, bob] = await Promise.all([world.signedIn("alice.test"), world.signedIn("bob.test")]);
    link = await alice.newDocument(`Last seen ${Date.now()}`);
    await alice.share("bob.test");
    await alice.typeAtEnd("Seen. ");
    await alice.statusSays(/^Published/);
    await bob.openDocument(link);
    await bob.mayWrite();
    await bob.sees("Seen. ");
  });
  after(() => world?.close());

  /** Leaves a document for the list; what was seen of it is kept then, and is not what was kept before. */
  async function leave(person, { besides = [] } = {}) {
    await person.page.getByRole("link", { name: "Documents" }).click();
    await person.page.getByRole("heading", { name: "Documents" }).waitFor();
    const before = besides.map(({ value }) => value.join());
    const isNew = ({ value }) => !before.includes(value.join());
    await until(() => person.page.evaluate(lastSeen, []), (kept) => kept.some(isNew), "the text to be kept as it is seen");
  }

  /** The texts that are kept in this browser as they were last seen; those that are given are from now on. */
  async function lastSeen(given = []) {
    const result = (request) =>
      new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    const found = [];
    for (const { name } of await indexedDB.databases()) {
      if (!name.startsWith("sheaf did:")) continue;
      const database = await result(indexedDB.open(name));
      const kept = database.transaction("kept", "readwrite").objectStore("kept");
      for (const one of given) if (one.name === name) await result(kept.put(one.value, one.key));
      for (const key of await result(kept.getAllKeys()))
        if (/^note\/.*\/last-seen$/.test(key)) found.push({ name, key, value: await result(kept.get(key)) });
      database.close();
    }
    return found;
  }

  async function openHeld(person) {
    // The engine does not begin before its worker is as the test wants it.
    const held = new Promise((resolve) => person.page.once("worker", (worker) => resolve(worker.evaluate(hold, GO_ON))));
    await person.context.route(ENGINE, async (route) => {
      await held;
      await route.continue();
    });
    await person.openDocument(link);
    await person.context.unroute(ENGINE);
  }

  async function letGo(person, { readable = true } = {}) {
    await person.page.evaluate(([name, readable]) => new BroadcastChannel(name).postMessage(readable), [GO_ON, readable]);
  }

  test("is on the screen before the engine has read it; what is typed meanwhile is kept, and what others wrote comes", async () => {
    await leave(alice);
    await bob.typeAtEnd("Since. ");
    await bob.statusSays(/^Published/);

    await openHeld(alice);
    await alice.sees("Seen. ");
    assert.equal((await alice.says()).says, "Opening");
    await alice.mayWrite();
    await alice.text.focus();
    await alice.page.keyboard.press("Control+Home");
    await alice.page.keyboard.type("Typed. ");
    await alice.sees("Typed. Seen. ");
    assert.equal(await bob.wholeText(), "Seen. Since. ", "nothing goes out before the engine has the text");

    await letGo(alice);
    await settled(alice, bob);
    assert.equal(await bob.wholeText(), "Typed. Seen. Since. ");
    // The caret is where it was.
    await alice.page.keyboard.type("Still. ");
    await bob.sees("Typed. Still. Seen. Since. ");
    const takenBack = async () => {
      await alice.page.keyboard.press("Control+z");
      return alice.wholeText();
    };
    await until(takenBack, (text) => !text.includes("Typed"), "what was typed to be taken back");
    await settled(alice, bob);
    assert.equal(await bob.wholeText(), "Seen. Since. ");
    assert.deepEqual([...alice.complaints, ...bob.complaints], []);
  });

  test("and what was typed in it is not lost with the tab's worker", async () => {
    await leave(alice);
    await openHeld(alice);
    await alice.sees("Seen. Since. ");
    await alice.mayWrite();
    await alice.typeAtEnd("Survives.");
    const worker = await alice.engine();
    // It ends, and in a while the page begins another: that one is not held.
    void worker.evaluate(() => self.close()).catch(() => {});
    await settled(alice, bob);
    assert.equal(await bob.wholeText(), "Seen. Since. Survives.");
    assert.deepEqual([...alice.complaints, ...bob.complaints], []);
  });

  test("stays to be copied where it cannot be opened after all", async () => {
    await leave(bob);
    await openHeld(bob);
    await bob.sees("Seen. Since. Survives.");
    await bob.mayWrite();
    await bob.typeAtEnd(" Typed in vain.");
    await letGo(bob, { readable: false });
    await bob.statusSays(/^The store on this device does not work/);
    await bob.mayOnlyRead();
    await bob.sees("Seen. Since. Survives. Typed in vain.");
    assert.equal(await alice.wholeText(), "Seen. Since. Survives.");
  });

  test("cannot be written in any more once the engine knows that its person is no editor now", async () => {
    const bob = await world.signedIn("bob.test");
    await bob.openDocument(link);
    await bob.mayWrite();
    await leave(bob);
    const kept = await bob.page.evaluate(lastSeen, []);
    await alice.button("Share").click();
    await alice.page.getByRole("dialog").getByRole("listitem").filter({ hasText: "bob.test" }).getByRole("button").click();
    await alice.page.keyboard.press("Escape");
    await bob.openDocument(link);
    await bob.mayOnlyRead();
    await leave(bob, { besides: kept });
    // As if the browser had ended before it was kept that he only reads.
    await bob.page.evaluate(lastSeen, kept);

    await openHeld(bob);
    await bob.mayWrite();
    await bob.typeAtEnd(" Too late.");
    await letGo(bob);
    await bob.mayOnlyRead();
    await bob.statusSays(/^Reading/);
    await bob.sees("Seen. Since. Survives.");
    const notKept = bob.page.getByRole("complementary", { name: "Not kept" });
    assert.equal(await notKept.getByRole("textbox", { name: "What you wrote" }).inputValue(), " Too late.");
    await notKept.getByRole("button", { name: "Copy" }).click();
    await notKept.getByText("Text copied.").waitFor();
    assert.equal(await bob.page.evaluate(() => navigator.clipboard.readText()), " Too late.");
    await notKept.getByRole("button", { name: "Discard" }).click();
    await until(() => notKept.textContent(), (text) => text.trim() === "", "the notice to go");
    assert.equal(await alice.wholeText(), "Seen. Since. Survives.");
    assert.deepEqual([...alice.complaints, ...bob.complaints], []);
  });
});
