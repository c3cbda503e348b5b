import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { OncePerFrame } from "../src/editor/frames";

const FRAME_MS = 16;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("window", globalThis);
  vi.stubGlobal("document", { hidden: false });
  vi.stubGlobal("requestAnimationFrame", (run: () => void) => setTimeout(run, FRAME_MS));
  vi.stubGlobal("cancelAnimationFrame", (frame: number) => clearTimeout(frame));
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function counted(): { frame: OncePerFrame; runs: () => number } {
  const work = vi.fn();
  return { frame: new OncePerFrame(work), runs: () => work.mock.calls.length };
}

test("however often it is asked for, it is done once in the next frame", () => {
  const { frame, runs } = counted();
  frame.ask();
  frame.ask();
  expect(runs()).toBe(0);
  vi.advanceTimersByTime(FRAME_MS);
  expect(runs()).toBe(1);
  vi.advanceTimersByTime(1_000);
  expect(runs()).toBe(1);
});

test("what has time is done in a while, however often it is asked for meanwhile", () => {
  const { frame, runs } = counted();
  frame.askIn(80);
  vi.advanceTimersByTime(60);
  frame.askIn(80);
  vi.advanceTimersByTime(19);
  expect(runs()).toBe(0);
  vi.advanceTimersByTime(1 + FRAME_MS);
  expect(runs()).toBe(1);
  vi.advanceTimersByTime(1_000);
  expect(runs()).toBe(1);
});

test("what has time is done with what has none, and sooner where it is hurried", () => {
  const { frame, runs } = counted();
  frame.askIn(80);
  frame.ask();
  vi.advanceTimersByTime(FRAME_MS);
  expect(runs()).toBe(1);
  vi.advanceTimersByTime(1_000);
  expect(runs()).toBe(1);

  frame.hurry(5);
  vi.advanceTimersByTime(1_000);
  expect(runs()).toBe(1);
  frame.askIn(80);
  frame.hurry(5);
  vi.advanceTimersByTime(5 + FRAME_MS);
  expect(runs()).toBe(2);
});

test("whoever hurries it again and again does not put it off", () => {
  const { frame, runs } = counted();
  frame.askIn(80);
  for (let key = 0; key < 10; key++) {
    frame.hurry(16);
    vi.advanceTimersByTime(10);
  }
  expect(runs()).toBe(1);
});

test("nothing is done after it is cancelled", () => {
  const { frame, runs } = counted();
  frame.askIn(80);
  frame.cancel();
  frame.ask();
  frame.cancel();
  vi.advanceTimersByTime(1_000);
  expect(runs()).toBe(0);
});
