import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AfterPause } from "../src/after_pause";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("it is done once, after the last time it was asked for", () => {
  const work = vi.fn();
  const later = new AfterPause(work, 400);
  for (let n = 0; n < 10; n++) {
    later.ask();
    vi.advanceTimersByTime(300);
  }
  expect(later.asked).toBe(true);
  expect(work).not.toHaveBeenCalled();
  vi.advanceTimersByTime(100);
  expect(work).toHaveBeenCalledTimes(1);
  expect(later.asked).toBe(false);
  vi.advanceTimersByTime(10_000);
  expect(work).toHaveBeenCalledTimes(1);
});

test("it is done at once when told to, and only if it was asked for", () => {
  const work = vi.fn();
  const later = new AfterPause(work, 400);
  later.flush();
  expect(work).not.toHaveBeenCalled();
  later.ask();
  later.flush();
  later.flush();
  expect(work).toHaveBeenCalledTimes(1);
  later.ask();
  later.cancel();
  later.flush();
  vi.advanceTimersByTime(1_000);
  expect(work).toHaveBeenCalledTimes(1);
});
