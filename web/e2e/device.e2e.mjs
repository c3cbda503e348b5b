// On one's own device: nothing is lost by closing, reloading, signing out, or an engine that stops; and what is said is true.

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { Person, makeWorld, openTo, until } from "./world.mjs";

const WRITING = (url) => url.pathname === "/xrpc/com.atproto.repo.putRecord";

describe("on one's own device", () => {
  let world, alice;
  const title = () => `On the device ${Date.now()}`;

  before(async () => {
    world = await makeWorld();
    alice = await world.signedIn("alice.test");
  });
  beforeEach(() => alice?.context.unrouteAll({ behavior: "ignoreErrors" }));
  after(() => world?.close());

  test("what was typed and not yet published is there after a reload", async () => {
    const link = await alice.newDocument(title());
    await alice.typeAtEnd("Published.");
    // Somebody without the live channel, who hears of nothing but what is published.
    const reader = await world.person();
    await reader.context.route(/\/config\.json$/, async (route) => {
      const config = await (await route.fetch()).json();
      await route.fulfill({ json: { ...config, relays: [] } });
    });
    await reader.openDocument(link);
    await reader.sees("Published.");
    await alice.context.route(WRITING, () => {});
    await alice.typeAtEnd(" Only here.");
    await alice.statusSays(/^Saved on this device/);
    await alice.page.reload();
    await alice.sees("Published. Only here.");
    assert.equal(await reader.wholeText(), "Published.");
    await alice.context.unrouteAll({ behavior: "ignoreErrors" });
    await alice.page.reload();
    await reader.sees("Published. Only here.");
    await reader.context.close();
  });

  test("a slow disk: nothing is called saved before it is, and leaving asks first", async () => {
    const slow = await world.signedIn("bob.test");
    const { page } = slow;
    await slow.newDocument(title());
    await slow.typeAtEnd("Quick.");
    await slow.statusSays(/^Published/);
    // The browser's own transactions where the engine runs, which end only when the test lets them.
    const engine = await slow.engine();
    await engine.evaluate(() => {
      const property = Object.getOwnPropertyDescriptor(IDBTransaction.prototype, "oncomplete");
      const held = [];
      globalThis.disk = {
        slow: true,
        goOn() {
          this.slow = false;
          for (const end of held.splice(0)) end();
        },
      };
      Object.defineProperty(IDBTransaction.prototype, "oncomplete", {
        ...property,
        set(handler) {
          const wrapped = handler && ((event) => (globalThis.disk.slow && this.mode === "readwrite" ? held.push(() => handler(event)) : handler(event)));
          property.set.call(this, wrapped);
        },
      });
    });
    await slow.typeAtEnd(" Slow.");
    await slow.statusSays(/^Saving on this device/);
    const asked = [];
    page.on("dialog", (dialog) => {
      asked.push(dialog.type());
      return dialog.dismiss();
    });
    await page.evaluate(() => void setTimeout(() => location.reload()));
    await until(() => asked, (asked) => asked.length > 0, "the browser to ask");
    assert.deepEqual(asked, ["beforeunload"]);
    assert.equal(await slow.wholeText(), "Quick. Slow.");
    await engine.evaluate(() => globalThis.disk.goOn());
    await slow.statusSays(/^Published/);
    await page.reload();
    await slow.sees("Quick. Slow.");
    assert.deepEqual(asked, ["beforeunload"], "with everything safe nobody is asked");
    await slow.context.close();
  });

  test("an engine that has stopped says so, and takes no words that it would lose", async () => {
    const person = await world.signedIn("bob.test");
    const { page } = person;
    await person.newDocument(title());
    await person.typeAtEnd("Kept.");
    await person.statusSays(/^Published/);
    // As a panic does: the call ends in WebAssembly's own error.
    await (await person.engine()).evaluate(() => {
      Date.now = () => {
        throw new WebAssembly.RuntimeError("unreachable");
      };
    });
    await page.keyboard.type("x");
    const alert = page.getByRole("alert").filter({ hasText: "Sheaf has stopped. Copy what you wrote last and reload." });
    await alert.waitFor();
    await person.mayOnlyRead();
    await page.keyboard.type("lost");
    assert.equal(await person.wholeText(), "Kept.x", "what was typed last is there to be copied, and no more comes");
    await alert.getByRole("button", { name: "Reload" }).click();
    await person.sees("Kept.");
    await person.mayWrite();
    await person.context.close();
  });

  test("a title goes out once the typing pauses, and is not lost by leaving at once", async () => {
    const link = await alice.newDocument();
    await alice.statusSays(/^Published/);
    const written = [];
    const collect = (request) => {
      if (WRITING(new URL(request.url())) && request.method() === "POST") {
        const { collection, record } = request.postDataJSON();
        if (collection === "dev.sheaf.document") written.push(record.title);
      }
    };
    alice.page.on("request", collect);
    await alice.title.focus();
    await alice.page.keyboard.press("Control+a");
    const whole = "A title typed letter by letter";
    await alice.page.keyboard.type(whole, { delay: 25 });
    await until(() => written, (titles) => titles.at(-1) === whole, "the title to be published");
    assert.ok(written.length <= 3, `one title was written ${written.length} times`);
    alice.page.off("request", collect);
    await alice.page.keyboard.type("!");
    await alice.page.getByRole("link", { name: "Documents" }).click();
    await alice.page.getByRole("link", { name: `${whole}!` }).waitFor();
    await alice.openDocument(link);
    await until(() => alice.title.inputValue(), (value) => value === `${whole}!`, "the last letter of the title");
    assert.deepEqual(alice.complaints, []);
  });

  test("an editor who is added offline can write as soon as it is published, and that is what is said", async () => {
    await alice.newDocument(title());
    await alice.statusSays(/^Published/);
    await alice.context.route(WRITING, (route) => route.abort());
    await alice.button("Share").click();
    const dialog = alice.page.getByRole("dialog");
    const add = async (handle) => {
      await alice.page.getByRole("textbox", { name: "Editor's handle" }).fill(handle);
      await alice.button("Add editor").click();
    };
    await add("alice.test");
    await dialog.getByText("alice.test owns this document, and so can write.").waitFor();
    await add("bob.test");
    await dialog.getByText("bob.test can write as soon as this is published.").waitFor();
    await alice.context.unrouteAll({ behavior: "ignoreErrors" });
    await dialog.getByText("bob.test can write now.").waitFor();
    await add("bob.test");
    await dialog.getByText("bob.test is an editor already.").waitFor();
    assert.equal(await dialog.getByRole("listitem").count(), 2);
    await alice.button("Close").click();
    await dialog.waitFor({ state: "detached" });
    assert.equal(await alice.page.evaluate(() => document.activeElement.textContent), "Share", "the focus is back");
  });

  test("closing the document while an editor is being looked up lets go of it", async () => {
    await alice.newDocument(title());
    await alice.statusSays(/^Published/);
    let answer;
    await alice.context.route(
      (url) => url.pathname === "/xrpc/com.atproto.identity.resolveHandle",
      (route) => void (answer = () => route.continue()),
    );
    await alice.button("Share").click();
    await alice.page.getByRole("textbox", { name: "Editor's handle" }).fill(await world.account(`eve${Date.now()}.test`));
    await alice.button("Add editor").click();
    await until(() => answer, (answer) => answer !== undefined, "the handle to be asked for");
    await alice.page.evaluate(() => (location.hash = "#/"));
    await alice.button("New document").waitFor();
    await answer();
    await alice.button("New document").click();
    await alice.text.waitFor();
    assert.deepEqual(alice.complaints, []);
  });

  test("a part of the app that cannot be loaded is said to be missing", async () => {
    const page = await alice.context.newPage();
    const person = new Person(alice.context, page, world.demo);
    await page.route(/text_view.*\.js/, (route) => route.abort());
    await page.goto(`${world.demo.app}#/`);
    await person.button("New document").click();
    await page.getByRole("alert").filter({ hasText: "A part of Sheaf could not be loaded. Reload the page" }).waitFor();
    await page.close();
  });

  test("without its configuration the app stays on the network it was on", async () => {
    const page = await alice.context.newPage();
    const person = new Person(alice.context, page, world.demo);
    const strangers = [];
    page.on("request", (request) => {
      const { hostname } = new URL(request.url());
      if (!["127.0.0.1", "localhost"].includes(hostname)) strangers.push(request.url());
    });
    let held = 0;
    await page.route("**/config.json", () => void (held += 1));
    await page.goto(`${world.demo.app}#/`);
    await person.newDocument(title());
    await person.typeAtEnd("Same network.");
    await person.statusSays(/^Published/);
    assert.ok(held > 0);
    assert.deepEqual(strangers, []);
    await page.close();
  });

  test("signing out says what waits, and keeps it for the next time", async () => {
    const bob = await world.signedIn("bob.test");
    const link = await bob.newDocument(title());
    await bob.statusSays(/^Published/);
    await bob.context.route(WRITING, (route) => route.fulfill({ status: 500, headers: openTo(world.demo.app), body: "no" }));
    await bob.typeAtEnd("Waits.");
    await bob.statusSays(/waiting/);
    const revoked = bob.page.waitForRequest((request) => new URL(request.url()).pathname === "/oauth/revoke");
    await bob.button("Sign out").click();
    const dialog = bob.page.getByRole("dialog", { name: "Sign out?" });
    await dialog.getByText(/[1-9]\d* changes? waits? on this device/).waitFor();
    await bob.button("Stay").click();
    await bob.typeAtEnd(" Still here.");
    await bob.button("Sign out").click();
    await dialog.getByRole("button", { name: /^Erase them, with \d+ changes? that (is|are) nowhere else$/ }).waitFor();
    await bob.button("Keep them and sign out").click();
    await bob.page.getByRole("textbox", { name: "Handle" }).waitFor();
    assert.equal(bob.page.url(), `${world.demo.app}#/`);
    await revoked;
    await bob.context.unrouteAll({ behavior: "ignoreErrors" });
    await bob.signIn("bob.test");
    await bob.openDocument(link);
    await bob.sees("Waits. Still here.");
    await bob.statusSays(/^Published/);
    assert.deepEqual(bob.complaints, []);
    await bob.context.close();
  });

  test("signing out in one tab closes what is open in another, with everything saved", async () => {
    const bob = await world.signedIn("bob.test");
    const link = await bob.newDocument(title());
    await bob.typeAtEnd("Safe.");
    const other = new Person(bob.context, await bob.context.newPage(), world.demo);
    await other.open(`${world.demo.app}#/`);
    await bob.statusSays(/^Published/);
    await other.signOut();
    await bob.mayOnlyRead();
    await bob.button("Sign out").waitFor({ state: "detached" });
    assert.equal(bob.page.url(), link);
    await bob.sees("Safe.");
    await bob.context.close();
  });
});
