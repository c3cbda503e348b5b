/** Where in the app one is. The address is a fragment, so that any static host can serve the page from any folder. */
export type Route =
  | { page: "documents" }
  | { page: "document"; link: string }
  | { page: "signIn"; then: string };

export const HOME = "#/";

export function routeOf(hash: string): Route {
  if (hash.startsWith("#/d/")) return { page: "document", link: hash };
  if (hash === "#/sign-in" || hash.startsWith("#/sign-in/")) {
    return { page: "signIn", then: thenOf(hash.slice("#/sign-in/".length)) };
  }
  return { page: "documents" };
}

/** The sign-in page's address that leads back to `then`. */
export function signInFor(then: string): string {
  return then === HOME || then === "" ? "#/sign-in" : `#/sign-in/${encodeURIComponent(then)}`;
}

function thenOf(escaped: string): string {
  try {
    const then = decodeURIComponent(escaped);
    return then.startsWith("#/d/") ? then : HOME;
  } catch {
    return HOME;
  }
}

class Place {
  route = $state<Route>(routeOf(location.hash));

  /** Whether one has gone from page to page: then the new page takes the focus, which the old one took along. */
  moved = false;
  /** The document just made, which is first of all given a title. */
  made = "";

  constructor() {
    addEventListener("hashchange", () => {
      this.moved = true;
      this.route = routeOf(location.hash);
    });
  }

  go(hash: string, how: "push" | "replace" = "push"): void {
    if (how === "replace") location.replace(hash);
    else location.hash = hash;
    this.route = routeOf(hash);
  }
}

export const place = new Place();

/** For what has the focus first on a page that one has gone to. */
export function firstFocus(element: HTMLElement): void {
  if (place.moved) element.focus();
}
