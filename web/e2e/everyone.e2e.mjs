// For everyone: by keyboard alone, to a screen reader, on a phone, in the dark.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, test } from "node:test";
import { makeWorld, until } from "./world.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const LOOKS = {
  light: {},
  dark: { colorScheme: "dark" },
  "a phone": { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true },
  "a phone in the dark": { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true, colorScheme: "dark" },
};

describe("for everyone", () => {
  let world, link;
  // Documents of earlier runs may still be there.
  const title = `For everyone ${Date.now()}`;

  before(async () => {
    world = await makeWorld();
    const alice = await world.signedIn("alice.test");
    link = await alice.newDocument(title);
    await alice.typeAtEnd("# Heading\n\nSome *text* with a [link](https://example.org).\n\n> Quoted.\n\n```\ncode\n```\n");
    await alice.share("bob.test");
    await alice.statusSays(/^Published/);
    await alice.context.close();
  });
  after(() => world?.close());

  for (const [look, options] of Object.entries(LOOKS)) {
    test(`every page can be read and used, ${look}`, async () => {
      const bob = await world.person(options);
      await bob.open();
      await bob.page.getByRole("textbox", { name: "Handle" }).waitFor();
      await accessible(bob, "sign-in");
      await bob.openDocument(link);
      await bob.sees(/Heading/);
      await accessible(bob, "reading");
      await bob.signIn("bob.test");
      await bob.openDocument(link);
      await bob.mayWrite();
      await accessible(bob, "writing");
      await bob.button("Share").click();
      await bob.page.getByRole("dialog").waitFor();
      await accessible(bob, "sharing");
      await bob.page.keyboard.press("Escape");
      await bob.button("Details").click();
      await bob.page.getByRole("dialog").getByText("alice.test").waitFor();
      await accessible(bob, "details");
      await bob.page.keyboard.press("Escape");
      await bob.open(`${world.demo.app}#/`);
      await bob.page.getByRole("link", { name: title }).waitFor();
      await accessible(bob, "documents");
      await bob.context.close();
    });
  }

  test("by keyboard alone: from the list to writing, sharing and back", async () => {
    const alice = await world.signedIn("alice.test");
    const { keyboard } = alice.page;
    const focused = () =>
      alice.page.evaluate(() => {
        const { activeElement: at } = document;
        return at?.getAttribute("aria-label") ?? at?.textContent?.trim() ?? "";
      });
    const tabTo = async (name) => {
      for (let i = 0; i < 30; i++) {
        await keyboard.press("Tab");
        const at = await focused();
        if (at === name) {
          const outline = await alice.page.evaluate(() => {
            const style = getComputedStyle(document.activeElement);
            return style.outlineStyle !== "none" || style.boxShadow !== "none" || document.activeElement.isContentEditable;
          });
          assert.ok(outline, `one sees that ${name} has the focus`);
          return;
        }
      }
      assert.fail(`Tab never came to ${name}`);
    };
    await tabTo("New document");
    await keyboard.press("Enter");
    await alice.text.waitFor();
    assert.equal(await focused(), "Title", "a new document is first given a title");
    await keyboard.type("By keyboard");
    await keyboard.press("Enter");
    await keyboard.type("Words.");
    await alice.sees("Words.");
    await alice.page.getByRole("link", { name: "Documents" }).focus();
    await tabTo("Share");
    await keyboard.press("Enter");
    const dialog = alice.page.getByRole("dialog", { name: "Share" });
    await dialog.waitFor();
    for (let i = 0; i < 12; i++) {
      await keyboard.press("Tab");
      const inside = await alice.page.evaluate(() => {
        const { activeElement: at } = document;
        return at === document.body || at?.closest("dialog") !== null;
      });
      assert.ok(inside, "the focus stays in the dialog");
    }
    await keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.equal(await focused(), "Share", "the focus is back where it was");
    await alice.page.getByRole("link", { name: "Documents" }).focus();
    await keyboard.press("Enter");
    await alice.page.getByRole("heading", { name: "Documents" }).waitFor();
    assert.equal(await focused(), "Documents", "the page one has gone to has the focus");
    await tabTo("New document");
    await alice.context.close();
  });

  test("the status is read out when it matters, and not with every letter", async () => {
    const alice = await world.signedIn("alice.test");
    await alice.newDocument(`Read out ${Date.now()}`);
    await alice.statusSays(/^Published/);
    assert.equal(await alice.status.getAttribute("aria-live"), "off");
    const spoken = await alice.page.evaluateHandle(() => {
      const said = [];
      for (const region of document.querySelectorAll("[aria-live=polite]")) {
        new MutationObserver(() => said.push(region.textContent)).observe(region, { childList: true, characterData: true, subtree: true });
      }
      return said;
    });
    const said = () => spoken.evaluate((said) => said);
    await alice.typeAtEnd("Letter by letter.", { delay: 60 });
    await alice.statusSays(/^Published/);
    await alice.context.setOffline(true);
    await until(said, (said) => said.some((sentence) => sentence.startsWith("Offline")), "going offline to be read out");
    await alice.context.setOffline(false);
    await until(said, (said) => said.at(-1).startsWith("Published"), "the return to be read out");
    assert.equal((await said()).length, 2, `only these: ${JSON.stringify(await said())}`);
    await alice.context.close();
  });

  test("somebody coming is announced, and nothing moves for those who want no motion", async () => {
    const alice = await world.signedIn("alice.test", { reducedMotion: "reduce" });
    await alice.openDocument(link);
    const bob = await world.signedIn("bob.test");
    await bob.openDocument(link);
    await alice.page.locator("[aria-live=polite]").filter({ hasText: "bob.test joined" }).waitFor({ state: "attached" });
    await bob.text.focus();
    await bob.page.keyboard.press("Control+End");
    const caret = alice.page.locator(".sheaf-caret").filter({ hasText: "bob.test" });
    await caret.waitFor();
    const faded = await caret.evaluate(
      (element) =>
        new Promise((resolve) => {
          const begun = [];
          for (const kind of ["transitionrun", "animationstart"]) element.addEventListener(kind, ({ target }) => begun.push(target.className));
          const look = () => {
            if (getComputedStyle(element).opacity === "1") requestAnimationFrame(look);
            else resolve({ name: getComputedStyle(element.firstElementChild).opacity, begun });
          };
          look();
        }),
    );
    assert.deepEqual(faded, { name: "0", begun: [] }, "the caret rests at once");
    await alice.context.close();
    await bob.context.close();
  });
});

async function accessible(person, where) {
  await person.page.evaluate(AXE);
  const { violations } = await person.page.evaluate(() =>
    globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html}\n${failureSummary}`).join("\n")}`);
  assert.deepEqual(found, [], where);
  const [content, window] = await person.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${where} is ${content} px wide in a window of ${window}`);
}
