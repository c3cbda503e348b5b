import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { StatusLine } from "../src/status_line.svelte";
import type { Status } from "../src/wasm/sheaf_web";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const saving = { sentence: "Saving on this device", tone: "working", saving: true } as Status;
const published = { sentence: "Published", tone: "calm", saving: false } as Status;
const offline = { sentence: "Offline: 1 change waiting", tone: "attention", saving: false } as Status;

/** A line over an engine that says what it is made to say. */
function over(first: Status): { line: StatusLine; says: (status: Status) => void } {
  let now = first;
  const line = new StatusLine(() => line.show(now));
  const says = (status: Status) => line.show((now = status));
  says(first);
  return { line, says };
}

test("a quick save is not worth a word, a slow one is", () => {
  const { line, says } = over(published);
  says(saving);
  expect(line.sentence).toBe("Published");
  vi.advanceTimersByTime(30);
  says(published);
  vi.advanceTimersByTime(970);
  says(saving);
  vi.advanceTimersByTime(500);
  expect(line.sentence).toBe("Published");
  vi.advanceTimersByTime(1_500);
  expect(line.sentence).toBe("Saving on this device");
});

test("until the line speaks of what was just done, it is busy", () => {
  const { line, says } = over(published);
  expect(line.busy).toBe(false);
  line.touched();
  expect([line.sentence, line.busy]).toEqual(["Published", true]);
  says(saving);
  expect([line.sentence, line.busy]).toEqual(["Published", true]);
  says(offline);
  vi.advanceTimersByTime(150);
  expect([line.sentence, line.busy]).toEqual([offline.sentence, false]);
  line.show(offline, true);
  expect(line.busy).toBe(true);
});

test("between two keys the line stays busy", () => {
  const { line, says } = over(published);
  for (let key = 0; key < 5; key++) {
    line.touched();
    says(published);
    vi.advanceTimersByTime(100);
    expect(line.busy).toBe(true);
  }
  vi.advanceTimersByTime(50);
  expect(line.busy).toBe(false);
});

test("what was typed is looked after though nobody tells of it", () => {
  let read = 0;
  const line = new StatusLine(() => void (read += 1));
  line.touched();
  line.touched();
  vi.advanceTimersByTime(1_000);
  expect(read).toBe(1);
});

test("only what needs attention is read out, and that it no longer does", () => {
  const { line, says } = over(published);
  vi.advanceTimersByTime(5_000);
  expect(line.said).toBe("");
  says(offline);
  says(published);
  vi.advanceTimersByTime(5_000);
  expect(line.said).toBe("");
  says(offline);
  vi.advanceTimersByTime(5_000);
  expect(line.said).toBe("Offline: 1 change waiting");
  says(published);
  vi.advanceTimersByTime(5_000);
  expect(line.said).toBe("Published");
});
