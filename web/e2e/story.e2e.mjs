// Two people write one document, and a third reads along: the whole story, on a real network, in real browsers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { makeWorld, settled, until } from "./world.mjs";

describe("two people write one document", () => {
  let world, alice, bob, link;
  // Documents of earlier runs may still be there.
  const title = `Field notes ${Date.now()}`;

  before(async () => {
    world = await makeWorld();
  });
  after(() => world?.close());

  test("Alice signs in on her server's own page", async () => {
    alice = await world.signedIn("alice.test");
    await alice.page.getByRole("heading", { name: "Documents" }).waitFor();
    assert.equal(new URL(alice.page.url()).search, "", "nothing of the sign-in stays in the address");
    assert.ok(!alice.page.url().includes("code="), alice.page.url());
  });

  test("she makes a document, titles it and writes", async () => {
    link = await alice.newDocument(title);
    await alice.typeAtEnd("# Harvest\nThe first sheaf is bound.\n");
    await alice.sees("# Harvest\nThe first sheaf is bound.\n");
    await alice.statusSays(/^Published/);
  });

  test("she adds Bob by his handle and copies the link", async () => {
    await alice.share("bob.test");
    await alice.button("Share").click();
    await alice.button("Copy link").click();
    await alice.page.getByText("Link copied.").waitFor();
    assert.equal(await alice.page.evaluate(() => navigator.clipboard.readText()), link);
    await alice.page.keyboard.press("Escape");
  });

  test("Bob opens the link, reads, signs in and is back at the document", async () => {
    bob = await world.person();
    await bob.openDocument(link);
    await bob.sees("# Harvest\nThe first sheaf is bound.\n");
    assert.equal(await bob.title.inputValue(), title);
    assert.equal(await bob.text.getAttribute("aria-readonly"), "true");
    await bob.button("Sign in").click();
    await bob.signIn("bob.test", { from: "here" });
    await bob.text.waitFor();
    assert.equal(bob.page.url(), link);
    await until(() => bob.text.getAttribute("aria-readonly"), (value) => value === "false", "Bob to be let in");
  });

  test("both type at once, different words in different places, and see each other's", async () => {
    await alice.text.focus();
    await alice.page.keyboard.press("Control+Home");
    await bob.text.focus();
    await bob.page.keyboard.press("Control+End");
    await Promise.all([
      alice.page.keyboard.type("Notes by Alice 🌾 — ", { delay: 30 }),
      bob.page.keyboard.type("Bob counts the barley: twelve.", { delay: 30 }),
    ]);
    const whole = "Notes by Alice 🌾 — # Harvest\nThe first sheaf is bound.\nBob counts the barley: twelve.";
    await alice.sees(whole);
    await bob.sees(whole);
    await settled(alice, bob);
  });

  test("each sees the other's name, colour, caret and selection", async () => {
    await alice.page.getByRole("list", { name: "People here" }).getByText("bob.test").waitFor();
    await bob.page.getByRole("list", { name: "People here" }).getByText("alice.test (you)").waitFor({ state: "detached" });
    const caret = bob.page.locator(".sheaf-caret").filter({ hasText: "alice.test" });
    await caret.waitFor();
    await alice.page.keyboard.press("Control+Home");
    await alice.page.keyboard.press("Shift+End");
    await bob.page.locator(".sheaf-selection").first().waitFor();
    const colour = await caret.evaluate((element) => getComputedStyle(element).getPropertyValue("--person"));
    assert.match(colour, /^#[0-9a-f]{6}$/);
    await bob.statusSays(/2 people here/);
  });

  test("others' words never move the caret, the selection or the page of whoever reads", async () => {
    await alice.change([{ from: await alice.wholeText().then((text) => text.length), insert: "\nline".repeat(120) }]);
    await settled(alice, bob);
    const where = () =>
      bob.text.evaluate((content) => {
        const { view } = content.cmTile.root;
        const { from, to } = view.state.selection.main;
        const top = view.coordsAtPos(from)?.top ?? null;
        return { selected: view.state.sliceDoc(from, to), top };
      });
    await bob.text.evaluate((content) => {
      const { view } = content.cmTile.root;
      const at = view.state.doc.toString().indexOf("line", view.state.doc.length - 200);
      view.dispatch({ selection: { anchor: at, head: at + 4 }, scrollIntoView: true });
      view.focus();
    });
    const before = await until(where, ({ top }) => top !== null, "the selection in sight");
    await alice.change([{ from: 0, insert: "Above.\n\n\n\n" }]);
    await bob.sees(/^Above\./);
    const after = await until(where, ({ top }) => top !== null && Math.abs(top - before.top) < 2, `the line to stay at ${before.top}`);
    assert.equal(after.selected, "line");
  });

  test("undo takes back one's own words only", async () => {
    const before = await bob.wholeText();
    await bob.typeAtEnd(" oops");
    await alice.change([{ from: 0, insert: "Later: " }]);
    await bob.sees(`Later: ${before} oops`);
    await bob.page.keyboard.press("Control+z");
    await bob.sees(`Later: ${before}`);
    await alice.sees(`Later: ${before}`);
    await bob.page.keyboard.press("Control+Shift+z");
    await alice.sees(`Later: ${before} oops`);
  });

  test("an input method goes on composing while others write, beside it and in its line", async () => {
    const before = await bob.wholeText();
    await bob.typeAtEnd("\n");
    await alice.sees(`${before}\n`);
    const keyboard = await bob.context.newCDPSession(bob.page);
    const compose = (text) => keyboard.send("Input.imeSetComposition", { text, selectionStart: text.length, selectionEnd: text.length });
    await compose("に");
    await alice.change([{ from: 0, insert: "Elsewhere. " }]);
    await bob.sees(/^Elsewhere\. /);
    await compose("にほ");
    const end = (await alice.wholeText()).length;
    await alice.change([{ from: end, insert: "Here." }]);
    await compose("にほん");
    await keyboard.send("Input.insertText", { text: "日本" });
    await until(
      async () => [await alice.wholeText(), await bob.wholeText()],
      ([hers, his]) => hers === his && /\n(日本Here\.|Here\.日本)$/.test(hers),
      "the composed word, once, beside what Alice wrote there",
    );
    await bob.page.keyboard.press("Control+z");
    await bob.page.keyboard.press("Control+z");
    await settled(alice, bob);
  });

  test("two tabs of one account are two writers of one text", async () => {
    const second = await bob.secondTab(link);
    const before = await bob.wholeText();
    await second.sees(before);
    await Promise.all([
      bob.change([{ from: 0, insert: "First tab. " }]),
      second.change([{ from: before.length, insert: " Second tab." }]),
    ]);
    const whole = `First tab. ${before} Second tab.`;
    await bob.sees(whole);
    await second.sees(whole);
    await alice.sees(whole);
    assert.deepEqual(second.complaints, []);
    await second.page.close();
  });

  test("a third person reads along live, signed in nowhere, with no way to type", async () => {
    const carol = await world.person();
    await carol.openDocument(link);
    const before = await alice.wholeText();
    await carol.sees(before);
    assert.equal(await carol.text.getAttribute("aria-readonly"), "true");
    assert.equal(await carol.text.getAttribute("contenteditable"), "false");
    assert.ok(await carol.title.evaluate((title) => title.readOnly));
    await carol.text.focus();
    await carol.page.keyboard.type("mine");
    await alice.change([{ from: 0, insert: "Live: " }]);
    await carol.sees(`Live: ${before}`);
    await carol.button("Sign in").waitFor();
    assert.deepEqual(carol.complaints, []);
    await carol.context.close();
  });

  test("after a reload everything is there", async () => {
    const before = await alice.wholeText();
    await alice.statusSays(/^Published/);
    await Promise.all([alice.page.reload(), bob.page.reload()]);
    await Promise.all([alice.sees(before), bob.sees(before)]);
    assert.equal(await alice.title.inputValue(), title);
    await alice.open(`${world.demo.app}#/`);
    await alice.page.getByRole("link", { name: title }).click();
    await alice.sees(before);
    await bob.open(`${world.demo.app}#/`);
    await bob.page.getByRole("link", { name: title }).click();
    await bob.sees(before);
  });

  test("Bob goes offline, writes, and on his return both have everything", async () => {
    const before = await alice.wholeText();
    await bob.context.setOffline(true);
    await bob.statusSays(/^Offline/);
    await bob.typeAtEnd("\nWritten offline.");
    await bob.statusSays(/^Offline: \d+ changes? waiting/);
    await alice.change([{ from: 0, insert: "Meanwhile. " }]);
    await alice.statusSays(/^Published/);
    assert.equal(await alice.wholeText(), `Meanwhile. ${before}`, "nothing of Bob's can have arrived");
    await bob.context.setOffline(false);
    const whole = `Meanwhile. ${before}\nWritten offline.`;
    await bob.sees(whole);
    await alice.sees(whole);
    await bob.statusSays(/^Published/);
  });

  test("once removed, Bob's later writes are on nobody else's screen", async () => {
    const before = await alice.wholeText();
    // Bob is away while it happens, so that his device still believes that he may write.
    await bob.context.setOffline(true);
    await alice.button("Share").click();
    await alice.button("Remove bob.test").click();
    await alice.page.getByRole("dialog").getByRole("listitem").filter({ hasText: "bob.test" }).waitFor({ state: "detached" });
    await alice.page.keyboard.press("Escape");
    await alice.statusSays(/^Published/);
    await bob.typeAtEnd(" INTRUDER");
    await bob.context.setOffline(false);
    await until(() => bob.text.getAttribute("aria-readonly"), (value) => value === "true", "Bob to be told");
    await alice.typeAtEnd(" After Bob.");
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees(`${before} After Bob.`);
    assert.equal(await alice.wholeText(), `${before} After Bob.`);
    await reader.context.close();
  });

  test("no page complained", () => {
    assert.deepEqual(alice.complaints, []);
    assert.deepEqual(bob.complaints, []);
  });
});

describe("a real editing history", () => {
  let world;

  before(async () => {
    world = await makeWorld();
  });
  after(() => world?.close());

  test("its first 2,000 transactions, typed by two browsers in turn, give its text", async () => {
    const { startContent, txns } = JSON.parse(
      gunzipSync(readFileSync(path.resolve(import.meta.dirname, "../../testdata/automerge-paper.json.gz"))),
    );
    // Positions count code points there and UTF-16 code units here; this part of the text has only the former.
    const turns = [];
    let text = startContent;
    for (const [i, { patches }] of txns.slice(0, 2000).entries()) {
      const turn = (turns[Math.floor(i / 100)] ??= []);
      for (const [at, gone, insert] of patches) {
        turn.push({ from: at, to: at + gone, insert });
        text = text.slice(0, at) + insert + text.slice(at + gone);
      }
    }
    assert.doesNotMatch(text, /[\uD800-\uDFFF]/);

    const alice = await world.signedIn("alice.test");
    const link = await alice.newDocument("Paper");
    await alice.share("bob.test");
    await alice.statusSays(/^Published/);
    const bob = await world.signedIn("bob.test");
    await bob.openDocument(link);
    await until(() => bob.text.getAttribute("aria-readonly"), (value) => value === "false", "Bob to be let in");

    let writer = alice;
    let other = bob;
    for (const turn of turns) {
      await writer.change(turn);
      await settled(writer, other);
      [writer, other] = [other, writer];
    }
    assert.equal(await alice.wholeText(), text);
    assert.equal(await bob.wholeText(), text);
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees(text);
  });
});
