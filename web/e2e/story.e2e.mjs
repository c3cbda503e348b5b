// Two people write one document, and a third reads along: the whole story, on a real network, in real browsers.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync, inflateRawSync } from "node:zlib";
import { Person, makeWorld, settled, until } from "./world.mjs";

let world;

before(async () => {
  world = await makeWorld();
});
after(() => world?.close());

describe("two people write one document", () => {
  let alice, bob, link;
  // Documents of earlier runs may still be there.
  const title = `Field notes ${Date.now()}`;

  test("Alice signs in on her server's own page", async () => {
    alice = await world.signedIn("alice.test");
    await alice.page.getByRole("heading", { name: "Documents" }).waitFor();
    assert.equal(alice.page.url(), `${world.demo.app}#/`, "nothing of the sign-in stays in the address");
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
    const copied = await alice.page.evaluate(() => navigator.clipboard.readText());
    assert.equal(copied, `${link}?via=${alice.account("bob.test").did}`, "it also says who else has the document");
    link = copied;
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
    await bob.mayWrite();
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
    await bob.page.getByRole("list", { name: "People here" }).getByText("alice.test", { exact: true }).waitFor();
    const caret = bob.page.locator(".sheaf-caret").filter({ hasText: "alice.test" });
    await caret.waitFor();
    await alice.page.keyboard.press("Control+Home");
    await alice.page.keyboard.press("Shift+End");
    await bob.page.locator(".sheaf-selection").first().waitFor();
    const colour = await caret.evaluate((element) => getComputedStyle(element).getPropertyValue("--person"));
    assert.match(colour, /^#[0-9a-f]{6}$/);
    await bob.statusSays(/2 people here/);
  });

  test("one's own typing leaves another's caret at its word", async () => {
    await bob.text.focus();
    await bob.page.keyboard.press("Control+End");
    await bob.page.keyboard.press("ArrowLeft");
    // Where Bob's caret is drawn for Alice, less where it belongs: before the full stop. Only a picture that stood still for
    // a frame counts, for keys come between frames.
    await alice.page.evaluate(() => {
      const watch = (globalThis.caretWatch = { worst: 0, frames: 0 });
      let before = "";
      const look = () => {
        const caret = document.querySelector(".sheaf-caret");
        const line = [...document.querySelectorAll(".cm-line")].at(-1);
        const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
        let last;
        for (let node = walker.nextNode(); node; node = walker.nextNode()) last = node;
        const now = `${line.textContent} ${caret?.style.left}`;
        if (caret && last && now === before) {
          const range = document.createRange();
          range.setStart(last, last.length - 1);
          range.setEnd(last, last.length);
          const off = caret.getBoundingClientRect().left + 1 - range.getBoundingClientRect().left;
          watch.worst = Math.max(watch.worst, Math.abs(off));
          watch.frames += 1;
        }
        before = now;
        if (!watch.done) requestAnimationFrame(() => setTimeout(look));
      };
      globalThis.startCaretWatch = look;
    });
    const off = () =>
      alice.page.evaluate(() => {
        globalThis.caretWatch.worst = 0;
        globalThis.caretWatch.frames = 0;
        return new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(globalThis.caretWatch))));
      });
    await alice.page.evaluate(() => globalThis.startCaretWatch());
    await until(off, ({ worst, frames }) => frames > 0 && worst < 2, "Bob's caret to be before the full stop");
    // At the beginning of the very line: everything in it moves along.
    await alice.text.focus();
    await alice.page.keyboard.press("Control+End");
    await alice.page.keyboard.press("Home");
    await off();
    await alice.page.keyboard.type("Again, ", { delay: 120 });
    const { worst, frames } = await alice.page.evaluate(() => Object.assign(globalThis.caretWatch, { done: true }));
    assert.ok(frames > 5, `only ${frames} frames stood still`);
    assert.ok(worst < 2, `Bob's caret was drawn ${worst} px away from where it is`);
    await settled(alice, bob);
    // What is written right at the caret comes after it: it stays with the word before.
    await alice.page.keyboard.press("End");
    await alice.page.keyboard.press("ArrowLeft");
    await alice.page.keyboard.type("!");
    const before = await alice.text.evaluate(() => {
      const caret = document.querySelector(".sheaf-caret").getBoundingClientRect().left + 1;
      const line = [...document.querySelectorAll(".cm-line")].at(-1);
      const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
      let last;
      for (let node = walker.nextNode(); node; node = walker.nextNode()) last = node;
      const range = document.createRange();
      range.setStart(last, last.length - 2);
      range.setEnd(last, last.length - 1);
      return [range.toString(), Math.abs(caret - range.getBoundingClientRect().left) < 2];
    });
    assert.deepEqual(before, ["!", true]);
    await alice.page.keyboard.press("Backspace");
    await settled(alice, bob);
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
    await bob.sees(/Here\.$/);
    await settled(alice, bob);
    const left = await bob.wholeText();
    assert.doesNotMatch(left, /[日本にほん]/, "his own word is taken back whole");
    assert.ok(left.startsWith("Elsewhere. ") && left.endsWith("Here."), "and Alice's stay");
  });

  test("two tabs of one account write one text", async () => {
    const second = await bob.secondTab(link);
    const before = await bob.wholeText();
    await second.sees(before);
    await Promise.all([
      bob.change([{ from: 0, insert: "First tab. " }]),
      second.typeAtEnd(" Second tab."),
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

  test("somebody signed in who is no editor reads along, too", async () => {
    const dan = await world.signedIn(await world.account(`dan${Date.now()}.test`));
    await dan.openDocument(link);
    const before = await alice.wholeText();
    await dan.sees(before);
    await dan.statusSays(/^Reading live/);
    assert.equal(await dan.text.getAttribute("contenteditable"), "false");
    assert.ok(await dan.title.evaluate((title) => title.readOnly));
    await dan.text.focus();
    await dan.page.keyboard.type("mine");
    await alice.change([{ from: 0, insert: "Also: " }]);
    await dan.sees(`Also: ${before}`);
    await dan.button("Share").click();
    assert.equal(await dan.button("Add editor").count(), 0);
    assert.deepEqual(dan.complaints, []);
    await dan.context.close();
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

  test("Bob closes his laptop for a while, and on his return what he missed arrives", async () => {
    await bob.typeAtEnd(" Good night.");
    const closed = await bob.wholeText();
    await alice.sees(closed);
    await bob.page.close();
    await alice.typeAtEnd(" Written at night.");
    await alice.statusSays(/^Published/);
    const reopened = new Person(bob.context, await bob.context.newPage(), world.demo);
    reopened.complaints.push(...bob.complaints);
    bob = reopened;
    await bob.openDocument(link);
    await bob.sees(`${closed} Written at night.`);
    await bob.typeAtEnd(" Good morning.");
    await alice.sees(`${closed} Written at night. Good morning.`);
  });

  test("once removed, Bob's later writes are on nobody else's screen", async () => {
    await settled(alice, bob);
    const before = await alice.wholeText();
    // His device cannot read anybody's repo while it happens, so it still believes that he may write; and write he can.
    const reading = (url) => url.pathname.startsWith("/xrpc/com.atproto.sync.");
    await bob.page.route(reading, (route) => route.abort());
    await alice.button("Share").click();
    await alice.button("Remove bob.test").click();
    await alice.page.getByRole("dialog").getByRole("listitem").filter({ hasText: "bob.test" }).waitFor({ state: "detached" });
    await alice.page.getByText("bob.test can no longer write.").waitFor();
    await alice.page.keyboard.press("Escape");
    await bob.change([{ from: before.length, insert: " INTRUDER" }]);
    const { did } = bob.account("bob.test");
    const query = `repo=${did}&collection=dev.sheaf.segment&limit=100&reverse=false`;
    await until(
      async () => {
        const { records } = await world.xrpc(`com.atproto.repo.listRecords?${query}`);
        return records.map(({ value }) => inflateRawSync(Buffer.from(value.entries.$bytes, "base64")).toString("latin1"));
      },
      (segments) => segments.some((segment) => segment.includes("INTRUDER")),
      "what he writes to be in his own repo",
    );
    await alice.typeAtEnd(" After Bob.");
    await alice.statusSays(/^Published/);
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees(`${before} After Bob.`);
    assert.equal(await alice.wholeText(), `${before} After Bob.`);
    await bob.page.unroute(reading);
    await bob.mayOnlyRead();
    await reader.context.close();
  });

  test("no page complained", () => {
    assert.deepEqual(alice.complaints, []);
    assert.deepEqual(bob.complaints, []);
  });
});

describe("a real editing history", () => {
  test("its first 2,000 transactions, typed by two browsers in turn, give its text", { timeout: 600_000 }, async () => {
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

    // Tall enough for all of the text to be in the page.
    const tall = { viewport: { width: 1000, height: 4000 } };
    const alice = await world.signedIn("alice.test", tall);
    const link = await alice.newDocument(`Paper ${Date.now()}`);
    await alice.share("bob.test");
    await alice.statusSays(/^Published/);
    const bob = await world.signedIn("bob.test", tall);
    await bob.openDocument(link);
    await bob.mayWrite();

    let writer = alice;
    let other = bob;
    for (const turn of turns) {
      await writer.typeAll(turn);
      await settled(writer, other);
      [writer, other] = [other, writer];
    }
    assert.equal(await alice.wholeText(), text);
    assert.equal(await bob.wholeText(), text);
    const reader = await world.person();
    await reader.openDocument(link);
    await reader.sees(text);
    for (const person of [alice, bob, reader]) await person.context.close();
  });
});
