// What the browser keeps of an account: apart from others', erased when asked, and met with words and a way out when it cannot be
// opened.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Person, makeWorld, until } from "./world.mjs";

describe("what the browser keeps", () => {
  let world;
  let accounts = 0;

  before(async () => {
    world = await makeWorld();
  });
  after(() => world?.close());

  /** Somebody of whom nothing is kept anywhere yet. */
  async function somebody() {
    accounts += 1;
    const handle = await world.account(`keeper${accounts}x${Date.now() % 1_000_000}.test`);
    const { did } = world.demo.accounts.find((account) => account.handle === handle);
    return { handle, did };
  }

  const stores = (person) =>
    person.page.evaluate(async () => (await indexedDB.databases()).map(({ name }) => name).filter((name) => name.startsWith("sheaf")));

  /** A page of the app's origin without the app, in the place of the person's page. */
  async function without(person, act, given) {
    await person.page.close();
    const page = await person.context.newPage();
    await page.goto(new URL("manifest.webmanifest", world.demo.app).href);
    await page.evaluate(act, given);
    return new Person(person.context, page, world.demo);
  }

  test("one account after another in one browser: each has its own, and erasing takes one's own alone", async () => {
    const [first, second] = [await somebody(), await somebody()];
    const person = await world.signedIn(first.handle);
    await person.newDocument("Of the first");
    await person.typeAtEnd("First words.");
    await person.statusSays(/^Published/);
    await person.open(`${world.demo.app}#/`);
    await person.signOut();
    await person.signIn(second.handle);
    await person.button("New document").waitFor();
    assert.equal(await person.page.getByRole("link", { name: "Of the first" }).count(), 0);
    await person.newDocument("Of the second");
    await person.typeAtEnd("Second words.");
    await person.statusSays(/^Published/);
    await person.open(`${world.demo.app}#/`);
    assert.deepEqual((await stores(person)).filter((name) => name.includes("did:")).sort(), [first, second].map(({ did }) => `sheaf ${did}`).sort());

    // Another tab of the same account must let go of it.
    const other = new Person(person.context, await person.context.newPage(), world.demo);
    await other.open(`${world.demo.app}#/`);
    await other.page.getByRole("link", { name: "Of the second" }).waitFor();
    await person.signOut({ erasing: true });
    await until(() => stores(person), (names) => !names.includes(`sheaf ${second.did}`), "the store to be gone");
    assert.ok((await stores(person)).includes(`sheaf ${first.did}`));
    await other.page.close();

    // What was published comes back from the account.
    await person.signIn(second.handle);
    await person.page.getByRole("link", { name: "Of the second" }).click();
    await person.sees("Second words.");
    assert.deepEqual(person.complaints, []);
    await person.context.close();
  });

  test("a store of a newer Sheaf: said, saved as a file whole, and begun anew", async () => {
    const { handle, did } = await somebody();
    let person = await world.signedIn(handle, { acceptDownloads: true });
    const link = await person.newDocument("Kept by a newer one");
    await person.typeAtEnd("Words of some weight.");
    await person.statusSays(/^Published/);
    person = await without(
      person,
      (name) =>
        new Promise((resolve, reject) => {
          const request = indexedDB.open(name, 99);
          request.onsuccess = () => resolve(request.result.close());
          request.onerror = () => reject(request.error);
        }),
      `sheaf ${did}`,
    );
    await person.page.goto(`${world.demo.app}#/`);
    await person.page.getByRole("heading", { name: "Sheaf cannot open what it keeps here" }).waitFor();
    assert.match(await person.page.getByRole("alert").first().innerText(), /was made by a newer Sheaf/);
    const coming = person.page.waitForEvent("download");
    await person.button("Save what can be read").click();
    const saved = JSON.parse(readFileSync(await (await coming).path(), "utf8"));
    assert.deepEqual([saved.store, saved.version, saved.unreadable], [`sheaf ${did}`, 99, []]);
    const kept = saved.entries.map(({ value }) => Buffer.from(value, "base64").toString("latin1")).join("");
    assert.ok(kept.includes("Kept by a newer one"), "the title is in there");
    await person.button("Start anew on this device").click();
    await person.button("Keep it").click();
    await person.button("Start anew on this device").click();
    await person.button("Erase and start anew").click();
    await person.page.getByRole("link", { name: "Kept by a newer one" }).waitFor();
    await person.openDocument(link);
    await person.sees("Words of some weight.");
    await person.context.close();
  });

  test("a store whose table is gone: said, and begun anew", async () => {
    const { handle, did } = await somebody();
    let person = await world.signedIn(handle);
    await person.newDocument("Torn");
    await person.statusSays(/^Published/);
    person = await without(
      person,
      (name) =>
        new Promise((resolve, reject) => {
          indexedDB.deleteDatabase(name).onsuccess = () => {
            const request = indexedDB.open(name, 1);
            request.onsuccess = () => resolve(request.result.close());
            request.onerror = () => reject(request.error);
          };
        }),
      `sheaf ${did}`,
    );
    await person.page.goto(`${world.demo.app}#/`);
    assert.match(await person.page.getByRole("alert").first().innerText(), /The store on this device is damaged/);
    await person.button("Start anew on this device").click();
    await person.button("Erase and start anew").click();
    await person.page.getByRole("link", { name: "Torn" }).waitFor();
    await person.context.close();
  });

  test("a browser that keeps nothing for the page: a sentence, and nothing half done", async () => {
    const person = await world.person();
    // As in some private windows. The engine's worker is begun by this script.
    await person.context.route("**/assets/worker-*.js", async (route) => {
      const answer = await route.fetch();
      const refuse = "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };";
      await route.fulfill({ response: answer, body: `${refuse}\n${await answer.text()}` });
    });
    await person.page.goto(`${world.demo.app}#/`);
    assert.match(await person.page.getByRole("alert").first().innerText(), /does not let the page keep anything \(a private window\?\)/);
    await person.button("Try again").waitFor();
    await person.context.close();
  });

  test("the browser is asked to keep it for good, once there is something of one's own", async () => {
    const { handle } = await somebody();
    const person = await world.person();
    await person.page.addInitScript(() => {
      globalThis.asked = 0;
      navigator.storage.persist = async () => (globalThis.asked += 1) > 0;
      navigator.storage.persisted = async () => false;
    });
    await person.signIn(handle);
    assert.equal(await person.page.evaluate(() => globalThis.asked), 0, "nobody is asked who has not written yet");
    await person.newDocument("For good");
    await person.typeAtEnd("Words, and more of them.");
    await until(() => person.page.evaluate(() => globalThis.asked), (asked) => asked === 1, "the browser to be asked");
    // It is asked with the first words that are kept, and not with the last.
    await person.statusSays(/^Published/);
    await person.page.reload();
    await person.sees("Words, and more of them.");
    await person.typeAtEnd(" More.");
    await person.statusSays(/^Published/);
    assert.equal(await person.page.evaluate(() => globalThis.asked), 0, "nor twice");
    await person.context.close();
  });
});
