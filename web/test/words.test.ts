import { expect, test } from "vitest";
import { inkOn } from "../src/ink";
import { day, fileName, initials, sentence, when } from "../src/words";

test("near times are said in words, far ones by their date", () => {
  const now = Date.UTC(2026, 10, 23, 12);
  expect(when(now - 20_000, now)).toBe("just now");
  expect(when(now - 5 * 60_000, now)).toMatch(/5/);
  expect(when(now - 400 * 86_400_000, now)).toMatch(/2025/);
});

test("days are called by what one calls them", () => {
  const now = new Date(2026, 10, 26, 0, 30).getTime();
  expect(day(now, now)).toBe("Today");
  expect(day(now - 3_600_000, now)).toBe("Yesterday");
  expect(day(new Date(2026, 2, 3, 12).getTime(), now)).toBe("Tuesday, March 3");
  expect(day(new Date(2025, 2, 3, 12).getTime(), now)).toMatch(/2025/);
});

test("initials take whole letters, whatever the script", () => {
  expect(initials("alice.test")).toBe("A");
  expect(initials("Ada Lovelace")).toBe("AL");
  expect(initials("👩‍👩‍👧 family")).toBe("👩‍👩‍👧F");
  expect(initials("")).toBe("");
});

test("ink on a colour can be read", () => {
  expect(inkOn("#ffffff")).toBe("#000");
  expect(inkOn("#102040")).toBe("#fff");
});

test("an error without words still says what to do", () => {
  expect(sentence(new Error("No such account."))).toBe("No such account.");
  expect(sentence("panic")).toMatch(/Reload/);
});

test("a title becomes a file's name that every system takes", () => {
  expect(fileName("Harvest supper", "md")).toBe("Harvest supper.md");
  expect(fileName("../a/b\\c: d?\n", "md")).toBe("a b c d.md");
  const long = fileName("👩‍👩‍👧 é ".repeat(100), "md");
  expect(new TextEncoder().encode(long).length).toBeLessThan(255);
  expect(long).toMatch(/^(👩‍👩‍👧 é )+👩‍👩‍👧( é)?\.md$/u);
  expect(fileName("evil\u202edm.exe", "md")).toBe("evil dm.exe.md");
  for (const nothing of ["", " . ", "///"]) expect(fileName(nothing, "md")).toBe("Untitled.md");
});
