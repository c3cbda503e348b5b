// The browser itself is killed, again and again, at any moment: what had been on the screen for a second is there afterwards.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { startDemo } from "./demo.mjs";
import { CHROMIUM_FLAGS, Person, until } from "./world.mjs";

const ROUNDS = Number(process.env.SHEAF_KILLS ?? 4);
const SECOND_MS = 1_000;
const STARTS = 3;

/** A browser with a profile on disk, and nothing between it and SIGKILL. */
class Browser {
  /** A browser that was killed may not come up on its profile the first time: then it is given another try. */
  static async start(profile) {
    for (let attempt = 1; ; attempt++) {
      const browser = new Browser();
      try {
        await browser.comeUp(profile);
        return browser;
      } catch (why) {
        await browser.kill();
        if (attempt === STARTS) throw why;
      }
    }
  }

  async comeUp(profile) {
    await rm(path.join(profile, "DevToolsActivePort"), { force: true });
    const flags = [...CHROMIUM_FLAGS, "--headless=new", "--remote-debugging-port=0", `--user-data-dir=${profile}`];
    this.child = spawn(process.env.CHROMIUM ?? "/usr/bin/chromium", flags, { stdio: "ignore", detached: true });
    this.gone = once(this.child, "exit");
    const port = await until(
      () => readFile(path.join(profile, "DevToolsActivePort"), "utf8").catch(() => ""),
      (lines) => lines.includes("\n"),
      "the browser to say where it listens",
    );
    this.connection = await chromium.connectOverCDP(`http://127.0.0.1:${port.split("\n")[0]}`);
    this.context = this.connection.contexts()[0];
  }

  async kill() {
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch (why) {
      // It has gone by itself.
      if (why.code !== "ESRCH") throw why;
    }
    await this.gone;
    await this.connection?.close().catch(() => {});
  }
}

describe("the browser's process", () => {
  let demo, profile, browser;

  before(async () => {
    demo = await startDemo();
    profile = await mkdtemp(path.join(tmpdir(), "sheaf-killed-"));
  });
  after(async () => {
    await browser?.kill();
    await demo?.stop();
    if (profile) await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });

  test(`killed ${ROUNDS} times while one types: no letter is lost that was there for a second`, { timeout: 60_000 * (ROUNDS + 2) }, async () => {
    const seed = Number(process.env.SHEAF_TEST_SEED ?? Date.now() % 1_000_000);
    console.log(`# SHEAF_TEST_SEED=${seed}`);
    let state = seed;
    const chance = (below) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };

    browser = await Browser.start(profile);
    let person = new Person(browser.context, await browser.context.newPage(), demo);
    await person.signIn("bob.test");
    const link = await person.newDocument(`Killed ${seed}`);
    // A few rounds need the network only to begin with: what is to be kept is on this device.
    await person.statusSays(/^Published/);
    let kept = "";
    for (let round = 0; round < ROUNDS; round++) {
      const goesDown = 1_200 + chance(1_800);
      const began = Date.now();
      const shown = [];
      await person.text.focus();
      await person.page.keyboard.press("Control+End");
      for (let n = 0; Date.now() - began < goesDown; n++) {
        await person.page.keyboard.insertText(n % 7 === 6 ? "é🖋️" : String.fromCharCode(97 + chance(26)));
        shown.push({ text: await person.wholeText(), at: Date.now() });
      }
      await browser.kill();
      browser = undefined;
      const killed = Date.now();
      const sure = shown.filter(({ at }) => killed - at >= SECOND_MS).at(-1)?.text ?? kept;

      browser = await Browser.start(profile);
      person = new Person(browser.context, await browser.context.newPage(), demo);
      await person.openDocument(link);
      await person.mayWrite();
      const after = await person.wholeText();
      const last = shown.at(-1)?.text ?? kept;
      assert.ok(sure.length > kept.length, "there was something to lose");
      assert.ok(after.startsWith(sure), `round ${round}: ${JSON.stringify(sure)} was on the screen, ${JSON.stringify(after)} is left`);
      assert.ok(last.startsWith(after), `round ${round}: ${JSON.stringify(after)} was never typed`);
      kept = after;
    }
    await person.statusSays(/^Published/);
    assert.deepEqual(person.complaints, []);
  });
});
