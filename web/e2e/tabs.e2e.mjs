// One account in several tabs: one of them has the engine and speaks for all, whichever comes and goes.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { streamFor } from "./stream.mjs";
import { makeWorld, settled, until } from "./world.mjs";

const SERVERS = (url) => url.pathname.startsWith("/xrpc/");

describe("one account in several tabs", () => {
  let world;
  const title = () => `Tabs ${Date.now()}`;

  before(async () => {
    world = await makeWorld();
  });
  after(() => world?.close());

  /** Ends a page as a crash does: nothing of it is asked or told. */
  async function crash(person) {
    const session = await person.context.newCDPSession(person.page);
    const crashed = person.page.waitForEvent("crash");
    // It is not answered: who should answer is gone.
    session.send("Page.crash").catch(() => {});
    await crashed;
    await person.page.close();
  }

  test("what is typed in one is in the other, with no network at all", async () => {
    const alice = await world.signedIn("alice.test");
    const link = await alice.newDocument(title());
    await alice.statusSays(/^Published/);
    const other = await alice.secondTab(link);
    await alice.context.route(SERVERS, (route) => route.abort());
    await alice.context.setOffline(true);
    await alice.typeAtEnd("From one 👩‍👩‍👧, ");
    await other.sees("From one 👩‍👩‍👧, ");
    await other.typeAtEnd("from the other.");
    await alice.sees("From one 👩‍👩‍👧, from the other.");
    // They are one person's, and so is what undo takes back.
    await other.page.keyboard.press("Control+z");
    await until(() => alice.wholeText(), (text) => !text.includes("other."), "the last of it to go");
    await other.page.keyboard.press("Control+y");
    await alice.sees("From one 👩‍👩‍👧, from the other.");
    await alice.statusSays(/^Offline: \d+ changes waiting/);
    await alice.context.setOffline(false);
    await alice.context.unrouteAll({ behavior: "ignoreErrors" });
    await settled(alice, other);
    assert.deepEqual([...alice.complaints, ...other.complaints], []);
    await alice.context.close();
  });

  test("both at once: each letter once, the same in both", async () => {
    const alice = await world.signedIn("alice.test");
    const link = await alice.newDocument(title());
    const other = await alice.secondTab(link);
    await Promise.all([alice.typeAtEnd("abcdefghij".repeat(5), { delay: 10 }), other.typeAtEnd("0123456789".repeat(5), { delay: 10 })]);
    await settled(alice, other);
    const text = await alice.wholeText();
    assert.equal(text.replace(/\d/g, ""), "abcdefghij".repeat(5));
    assert.equal(text.replace(/\D/g, ""), "0123456789".repeat(5));
    assert.deepEqual([...alice.complaints, ...other.complaints], []);
    await alice.context.close();
  });

  test("only one of them listens to the network, and another does when it is closed", async (t) => {
    if (!world.demo.jetstream) return t.skip("Go is not installed, so there is no Jetstream");
    const alice = await world.person();
    const stream = await streamFor(alice, world.demo.jetstream);
    await alice.signIn("alice.test");
    const link = await alice.newDocument(title());
    await alice.statusSays(/^Published/);
    const second = await alice.secondTab(link);
    const third = await alice.secondTab(link);
    await third.typeAtEnd("One voice.");
    await settled(alice, second, third);
    await until(() => stream.listeners, (listeners) => listeners === 1, "one connection for three tabs");
    await alice.page.close();
    await second.typeAtEnd(" Another's.");
    await settled(second, third);
    await until(() => stream.listeners, (listeners) => listeners === 1, "one connection for two tabs");
    assert.deepEqual([...second.complaints, ...third.complaints], []);
    await alice.context.close();
    await stream.close();
  });

  for (const [how, end] of [
    ["closed", ({ page }) => page.close({ runBeforeUnload: false })],
    ["crashed", crash],
  ]) {
    test(`the tab that leads is ${how} while one types in another: nothing is lost, nothing is doubled`, async () => {
      const alice = await world.signedIn("alice.test");
      const link = await alice.newDocument(title());
      await alice.typeAtEnd("Begin.\n");
      await alice.statusSays(/^Published/);
      const second = await alice.secondTab(link);
      const third = await alice.secondTab(link);
      let ended;
      let typed = "Begin.\n";
      await second.text.focus();
      await second.page.keyboard.press("Control+End");
      for (let n = 0; n < 60; n++) {
        const piece = n % 10 === 9 ? "🖋️" : String.fromCharCode(97 + (n % 26));
        await second.page.keyboard.insertText(piece);
        typed += piece;
        if (n === 20) ended = end(alice);
      }
      await ended;
      assert.equal(await second.wholeText(), typed, "typing was never held up");
      await second.sees(typed);
      await third.sees(typed);
      await settled(second, third);
      // And the next one, with what the last one has left.
      await end(second);
      await third.typeAtEnd(" End.");
      await third.statusSays(/^Published/);
      const reader = await world.person();
      await reader.openDocument(link);
      await reader.sees(`${typed} End.`);
      assert.deepEqual(third.complaints, []);
      await reader.context.close();
      await third.context.close();
    });
  }

  test("the engine of the tab that leads hangs: another takes over, the hanging one writes nothing more, and its page goes on", async () => {
    const alice = await world.signedIn("alice.test");
    const link = await alice.newDocument(title());
    await alice.typeAtEnd("Before. ");
    await alice.statusSays(/^Published/);
    const second = await alice.secondTab(link);
    await second.sees("Before. ");
    const engine = await alice.engine();
    // Nobody waits for what never ends.
    void engine
      .evaluate(() => {
        for (;;);
      })
      .catch(() => {});
    await second.typeAtEnd("Meanwhile. ");
    await second.statusSays(/^Published/);
    await alice.sees("Before. Meanwhile. ");
    await alice.typeAtEnd("After.");
    await settled(alice, second);
    assert.equal(await second.wholeText(), "Before. Meanwhile. After.");
    assert.deepEqual([...alice.complaints, ...second.complaints], []);
    await alice.context.close();
  });
});
