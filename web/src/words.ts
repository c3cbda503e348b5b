/** The page is in English, and so is everything in it. */
const LANGUAGE = "en";

/** What people take for one character. */
const CHARACTERS = new Intl.Segmenter();

/** Every system takes a file's name of so many bytes, and an ending. */
const FILE_NAME_BYTES = 200;

/** What is said once the engine has stopped by a mistake of its own. */
export const STOPPED = "Sheaf has stopped. Copy what you wrote last and reload.";

/** What is said when a part of the app cannot be loaded: its host has a newer one, or is away. */
export const RELOAD = "A part of Sheaf could not be loaded. Reload the page: there may be a newer Sheaf.";

/** What is said of changes that the engine has not confirmed yet, in its own words for it. */
export const SAVING = "Saving on this device";

/** What is said while nothing answers: another tab leads and is busy, or none does yet. */
export const WAITING = "Waiting for Sheaf in another tab: what you write stays here, and is not saved yet";

/** What an error says to a person. Every error the engine makes is a sentence already. */
export function sentence(error: unknown): string {
  if (error instanceof Error && error.message) return error.message;
  return "Something went wrong. Reload the page to go on; nothing you wrote is lost.";
}

const relative = new Intl.RelativeTimeFormat(LANGUAGE, { numeric: "auto" });
const sameYear = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "long" });
const otherYear = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "long", year: "numeric" });

/** When something was, near times in words: “5 minutes ago”, “yesterday”, “March 3”. */
export function when(time: number, now = Date.now()): string {
  const minutes = Math.round((now - time) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return relative.format(-minutes, "minute");
  const hours = Math.round(minutes / 60);
  if (hours < 24) return relative.format(-hours, "hour");
  const days = Math.round(hours / 24);
  if (days < 7) return relative.format(-days, "day");
  const date = new Date(time);
  return (date.getFullYear() === new Date(now).getFullYear() ? sameYear : otherYear).format(date);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const thisYear = new Intl.DateTimeFormat(LANGUAGE, { weekday: "long", day: "numeric", month: "long" });

/** The time of day, as this device writes it. */
export function timeOfDay(time: number): string {
  return clock.format(time);
}

/** Which day something was on: “Today”, “Yesterday”, “Tuesday, March 3”. */
export function day(time: number, now = Date.now()): string {
  const date = new Date(time);
  const midnight = (at: Date) => new Date(at.getFullYear(), at.getMonth(), at.getDate()).getTime();
  const days = Math.round((midnight(new Date(now)) - midnight(date)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (date.getFullYear() === new Date(now).getFullYear() ? thisYear : otherYear).format(date);
}

/** One or two letters for a person's mark. */
export function initials(name: string): string {
  const [first = "", second = ""] = name.split(/[\s._-]+/u);
  const letter = (word: string) => CHARACTERS.segment(word).containing(0)?.segment.toLocaleUpperCase() ?? "";
  return name.includes(" ") ? letter(first) + letter(second) : letter(first);
}

/** `alice.test and bob.test`, as a text has it. */
export function listing(names: string[]): string {
  return new Intl.ListFormat(LANGUAGE, { type: "conjunction" }).format(names);
}

/** A name for the file of something with this title, on any system. */
export function fileName(title: string, kind: string): string {
  // What some system takes for a part of a path, or for nothing that can be seen.
  const plain = title.replace(/[\u0000-\u001f\u007f-\u009f"*/:<>?\\|\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, " ");
  let [name, room] = ["", FILE_NAME_BYTES];
  for (const { segment } of CHARACTERS.segment(plain.replace(/\s+/gu, " "))) {
    room -= new TextEncoder().encode(segment).length;
    if (room < 0) break;
    name += segment;
  }
  name = name.replace(/^[\s.]+|[\s.]+$/gu, "");
  return `${name || "Untitled"}.${kind}`;
}
