// The way to the sign-in provider and back. The page to come back to is remembered in the tab, until one is back.
import { beginOidc } from "../api/access";

const NEXT = "holdfast-next";

/** A path of this app, or its first page: never another site. */
export const ownPath = (path: string | null | undefined): string => (path && /^\/(?![/\\])/.test(path) ? path : "/");

/** Leaves the app for the provider; `again` lets it ask for the password also of someone who is signed in there. */
export async function goToProvider(next: string | undefined, again: boolean): Promise<void> {
  const { url } = await beginOidc({ again });
  window.sessionStorage.setItem(NEXT, ownPath(next));
  window.location.assign(url);
}

/** The page to come back to, once. */
export function takeNext(): string {
  const next = window.sessionStorage.getItem(NEXT);
  window.sessionStorage.removeItem(NEXT);
  return ownPath(next);
}
