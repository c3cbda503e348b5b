// The world the story happens in: the demo's real network and app, and people in browsers of their own.
//
// Nothing sleeps for a fixed time here: everything waits for what it needs to see, and fails with what it saw instead.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { startDemo } from "./demo.mjs";
import { elsewhere } from "./elsewhere.mjs";

/** How long anything may take before the test says what it was waiting for. */
const PATIENCE_MS = 30_000;

export const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * Everything a test needs, with one `close` for all of it. Where something is measured the demo gives way to the browser; one that
 * runs already stays as it is.
 */
export async function makeWorld({ measured = false } = {}) {
  const demo = await startDemo(measured ? elsewhere : undefined);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: CHROMIUM_FLAGS,
  });
  const people = [];
  return {
    demo,
    browser,
    /**
     * Somebody at a browser of their own, on the app's first page. The app is not kept there unless said: tests stand between
     * the page and its host, and see nothing of what a service worker answers.
     */
    async person({ app = demo.app, ...options } = {}) {
      const context = await browser.newContext({ viewport: { width: 1000, height: 720 }, serviceWorkers: "block", ...options });
      context.setDefaultTimeout(PATIENCE_MS);
      await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(app).origin });
      const page = await context.newPage();
      const person = new Person(context, page, { ...demo, app });
      people.push(person);
      return person;
    },
    /** A method of the PDS: a query without a body, a procedure with one. */
    xrpc: (method, body, token) => xrpc(demo.pds, method, body, token),
    /** The token of a session that has nothing to do with any browser. */
    async token(handle) {
      const { did: identifier, password } = demo.accounts.find((account) => account.handle === handle);
      return (await xrpc(demo.pds, "com.atproto.server.createSession", { identifier, password })).accessJwt;
    },
    /** One more account, beside Alice and Bob. */
    async account(handle) {
      const password = `password of ${handle}`;
      const email = `${handle}@example.org`;
      const { did } = await xrpc(demo.pds, "com.atproto.server.createAccount", { handle, email, password });
      demo.accounts.push({ handle, password, did });
      return handle;
    },
    /** Signed in through the PDS's own pages. */
    async signedIn(handle, options = {}) {
      const person = await this.person(options);
      await person.signIn(handle);
      return person;
    },
    async close() {
      await browser.close();
      await demo.stop();
    },
  };
}

export class Person {
  constructor(context, page, demo) {
    this.context = context;
    this.page = page;
    this.demo = demo;
    /** What the page complained about. A test that expects none asserts that it is empty. */
    this.complaints = [];
    page.on("pageerror", (error) => this.complaints.push(error.stack ?? String(error)));
    page.on("console", (message) => {
      const refused = message.text().includes("Content Security Policy");
      if (message.text().includes("panicked") || (refused && page.url().startsWith(demo.app))) this.complaints.push(message.text());
    });
  }

  get text() {
    return this.page.getByRole("textbox", { name: "Document text" });
  }

  get title() {
    return this.page.getByRole("textbox", { name: "Title" });
  }

  get status() {
    return this.page.getByRole("status");
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  async open(url = this.demo.app) {
    await this.page.goto(url);
  }

  account(handle) {
    const account = this.demo.accounts.find((account) => account.handle === handle);
    assert.ok(account, `the demo has no account ${handle}`);
    return account;
  }

  /** Which record a document is: `[its owner's DID, its key]`. */
  static parts(link) {
    const [, did, rkey] = /#\/d\/([^/]+)\/(.+)$/.exec(link);
    return [did, rkey];
  }

  /** From whichever page has the sign-in form, through the server's own pages, and back. */
  async signIn(handle, { from } = {}) {
    if (from !== "here") await this.open(this.demo.app);
    await this.page.getByRole("textbox", { name: "Handle" }).fill(handle);
    await this.button("Sign in").click();
    await this.page.getByLabel("Password", { exact: true }).fill(this.account(handle).password);
    await this.button("Sign in").click();
    await this.button("Authorize").click();
    await this.page.waitForURL(`${this.demo.app}**`);
    await this.button("Sign out").waitFor();
  }

  /** The same person, in another tab of the same browser. */
  async secondTab(url) {
    const tab = new Person(this.context, await this.context.newPage(), this.demo);
    await tab.openDocument(url);
    return tab;
  }

  /** The worker of this page, where the engine runs if the page's tab is the one that leads. */
  async engine() {
    return until(() => this.page.workers()[0], (worker) => worker !== undefined, "the page's worker");
  }

  /** Makes a document and returns its address. */
  async newDocument(title) {
    await this.open(`${this.demo.app}#/`);
    await this.button("New document").click();
    await this.text.waitFor();
    if (title) await this.title.fill(title);
    return this.page.url();
  }

  async openDocument(url) {
    // By way of nowhere: two fragments of one page are one page to the browser.
    await this.page.goto("about:blank");
    await this.page.goto(url);
    await this.text.waitFor();
  }

  async share(handle) {
    await this.button("Share").click();
    await this.page.getByRole("textbox", { name: "Editor's handle" }).fill(handle);
    await this.button("Add editor").click();
    await this.page.getByRole("dialog").getByRole("listitem").filter({ hasText: handle }).waitFor();
    await this.page.keyboard.press("Escape");
  }

  /** Signs out and keeps what is on this device, or has it erased. */
  async signOut({ erasing = false } = {}) {
    await this.button("Sign out").click();
    await this.button(erasing ? "Erase them and sign out" : "Keep them and sign out").click();
    await this.page.getByRole("textbox", { name: "Handle" }).waitFor();
  }

  /** Puts the caret at the end and types. */
  async typeAtEnd(text, { delay = 0 } = {}) {
    await this.text.focus();
    await this.page.keyboard.press("Control+End");
    await this.page.keyboard.type(text, { delay });
  }

  async mayWrite() {
    await until(() => this.text.getAttribute("aria-readonly"), (value) => value === "false", "leave to write");
  }

  async mayOnlyRead() {
    await until(() => this.text.getAttribute("aria-readonly"), (value) => value === "true", "leave to write to end");
  }

  /** Makes changes as one does: the caret by the browser's own selection, the rest by keys. */
  async typeAll(changes) {
    let caret = -1;
    for (const { from, to, insert } of changes) {
      if (to > from || from !== caret) await this.select(from, to);
      const { keyboard } = this.page;
      if (to > from) await keyboard.press("Delete");
      if (insert) await keyboard.type(insert);
      caret = from + insert.length;
    }
  }

  /** Selects by places in the text, all of which must be in the page. */
  async select(from, to) {
    await this.text.evaluate(
      (content, [from, to]) => {
        const place = (at) => {
          for (const line of content.querySelectorAll(".cm-line")) {
            const range = document.createRange();
            range.selectNodeContents(line);
            const { length } = range.toString();
            if (at > length) {
              at -= length + 1;
              continue;
            }
            const walker = document.createTreeWalker(line, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
              if (at <= node.length) return [node, at];
              at -= node.length;
            }
            return [line, 0];
          }
          throw new Error("beyond the text");
        };
        content.focus();
        getSelection().setBaseAndExtent(...place(from), ...place(to));
      },
      [from, to],
    );
  }

  /** The whole text, as CodeMirror has it: of a long one only the part in sight is in the page. */
  async wholeText() {
    return this.text.evaluate((content) => content.cmTile.root.view.state.doc.toString());
  }

  /** Changes the text through CodeMirror, as typing does: `[{ from, to, insert }]`, each in the text the last one left. */
  async change(changes) {
    await this.text.evaluate((content, changes) => {
      const { view } = content.cmTile.root;
      for (const change of changes) view.dispatch({ changes: change, userEvent: "input.type" });
    }, changes);
  }

  async sees(expected) {
    await until(
      async () => ({ text: await this.wholeText(), status: (await this.status.textContent()).trim() }),
      ({ text }) => (expected instanceof RegExp ? expected.test(text) : text === expected),
      `the text ${expected}`,
    );
  }

  /** The status line, and whether something is being changed that it does not speak of yet. */
  says() {
    return this.status.evaluate((line) => ({ says: line.textContent.trim(), busy: line.ariaBusy === "true" }));
  }

  /** What is said of all that was done: while something is being saved, the line may still speak of what was before. */
  async statusSays(pattern) {
    await until(
      () => this.says(),
      ({ says, busy }) => pattern.test(says) && (!busy || says.startsWith("Saving")),
      `a status like ${pattern}`,
    );
  }
}

/** Waits until `read` gives something that `holds`. */
export async function until(read, holds, what, patience = PATIENCE_MS) {
  const deadline = Date.now() + patience;
  let last;
  for (;;) {
    last = await read();
    if (holds(last)) return last;
    if (Date.now() > deadline) assert.fail(`waited for ${what}, but last saw: ${JSON.stringify(last)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** The same text for everybody, at rest: nothing is left to publish or to arrive. */
export async function settled(...people) {
  const read = async (person) => ({ text: await person.wholeText(), ...(await person.says()) });
  const rest = /^(Published|Reading live)/;
  await until(
    () => Promise.all(people.map(read)),
    (all) => all.every(({ text, says, busy }) => text === all[0].text && rest.test(says) && !busy),
    "everybody to see the same text, published",
  );
}

async function xrpc(pds, method, body, token) {
  const response = await fetch(`${pds}/xrpc/${method}`, {
    method: body ? "POST" : "GET",
    headers: { ...(body ? { "content-type": "application/json" } : {}), ...(token ? { authorization: `Bearer ${token}` } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  assert.ok(response.ok, `${method}: ${response.status} ${await response.clone().text()}`);
  return response.json();
}

/** What lets a page of another origin read an answer that a test makes up. */
export function openTo(app) {
  return {
    "access-control-allow-origin": new URL(app).origin,
    "access-control-allow-headers": "*, authorization, content-type, dpop",
    "access-control-allow-methods": "*",
    "access-control-expose-headers": "*, www-authenticate, dpop-nonce",
  };
}
