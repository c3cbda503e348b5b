/** mulberry32: small, seeded and good enough to choose edits with. */
export function random(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

const PIECES = ["a", "word ", "\n", "\r\n", "😀", "👩‍👩‍👧", "e\u0301", "שלום", "مرحبا", "é", "\t", "𝒳", "# ", "- "];

export function randomText(pick: (below: number) => number, pieces: number): string {
  return Array.from({ length: pick(pieces + 1) }, () => PIECES[pick(PIECES.length)]).join("");
}

/** Where a text can be cut without halving a character. */
export function randomCut(pick: (below: number) => number, text: string): number {
  const at = pick(text.length + 1);
  return /[\uD800-\uDBFF]/.test(text.charAt(at - 1)) && /[\uDC00-\uDFFF]/.test(text.charAt(at)) ? at - 1 : at;
}

/** Where random cases begin: printed with each test's name, and given again as `SEED`. */
export const FIRST_SEED = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
