// What a page that failed says: a refusal and a thing that is gone are no faults, and are not shown as such.

import { Problem } from "../api/client";

export interface WhatFailed {
  /** `failed`: the error as it is, to be tried again. */
  kind: "forbidden" | "gone" | "failed";
  title: string;
  detail: string;
}

export function whatFailed(error: unknown): WhatFailed {
  const status = error instanceof Problem ? error.status : undefined;
  const detail = error instanceof Error ? capital(error.message) : String(error);
  if (status === 403) {
    return {
      kind: "forbidden",
      title: "This page is not for your role",
      detail: `${detail}. Ask an owner or a user admin when you need it; nothing was changed.`,
    };
  }
  if (status === 404) {
    return {
      kind: "gone",
      title: "What this page names is not here",
      detail: `${detail}. The address is wrong, it was removed, or you are no member of its group.`,
    };
  }
  return { kind: "failed", title: "This page failed", detail };
}

const capital = (text: string) => (text ? text[0]!.toUpperCase() + text.slice(1).replace(/\.$/, "") : text);
